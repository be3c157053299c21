"""`If-None-Match`: a read whose body has not changed gets 304 without a body.

A version counts the changes of a resource, for `If-Match`. The body of a read can change while the version stays:
a deadline passes, a reply is published, another caller has other rights. So the `ETag` of a read is the version
and a digest of the body, `"3-9f0b6d8e1f0a"`; `If-Match` compares only the version. Figures have no version: their
`ETag` is the digest alone.
"""

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Value of `ETag` set by a route whose response has no version.
CONTENT_ETAG = '""'
_MARK_LENGTH = 12


class ConditionalReads:
    """ASGI middleware: adds a digest of the body to a GET's `ETag`; responds 304 if the caller has that body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Buffer the body of a response with an `ETag`; send it, or 304, once it is complete."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("if-none-match", "")
        start: Message | None = None
        body = b""

        async def conditional(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _has_etag(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            body += message.get("body", b"")
            if message.get("more_body", False):
                return
            headers = MutableHeaders(raw=start["headers"])
            headers["etag"] = marked(headers["etag"], body)
            if _matches(wanted, headers["etag"]):
                start["status"], body = 304, b""
                del headers["content-length"]
                del headers["content-type"]
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, conditional)


def marked(etag: str, body: bytes) -> str:
    """Return the `ETag` with a digest of the body added."""
    digest = hashlib.sha256(body).hexdigest()[:_MARK_LENGTH]
    return f'"{digest}"' if etag == CONTENT_ETAG else f'{etag.removesuffix(chr(34))}-{digest}"'


def _has_etag(message: Message) -> bool:
    return message["status"] == 200 and "etag" in Headers(raw=message["headers"])


def _matches(wanted: str, etag: str) -> bool:
    """Return whether `If-None-Match` names this ETag, by weak comparison (RFC 9110, 13.1.2)."""
    return wanted.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in wanted.split(","))
