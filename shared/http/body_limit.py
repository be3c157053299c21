"""Limits on request bodies: their size, and how deep JSON nests. A body that is too large is read to its end and
discarded.

A server that responds and closes while the client is still sending resets the connection, and most clients report
a broken pipe instead of the response. The gateway's own, larger limit bounds what is read and discarded.
"""

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.json_depth import DEEPEST, too_deep
from shared.http.problems import BadRequest, Problem, TooLarge

METHODS_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")


class PathLimits:
    """Limits in bytes of single paths. A path may have parameters, each of one segment."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = [(compile_path(path)[0], limit) for path, limit in limits.items()]

    def of(self, path: str) -> int | None:
        """Return the limit of a path; None if the common limit applies."""
        return next((limit for pattern, limit in self._limits if pattern.match(path)), None)

    def allow_more(self, scope: Scope, common: int) -> bool:
        """Return whether a request may have a body over `common` bytes, by its path and its headers."""
        if scope["method"] in METHODS_WITHOUT_BODY or (self.of(scope["path"]) or 0) <= common:
            return False
        length = Headers(scope=scope).get("content-length", "")
        return not length.isdecimal() or int(length) > common


class BodyLimit:
    """ASGI middleware: bodies over `limit()` bytes get 413 and are discarded; `others` contains limits by path.

    JSON that nests too deep gets 400, because recursive code that processes it later would fail. Limits above
    `limit()` are for files: JSON over `limit()` gets 413 there too, since it would be examined before its sender
    is known.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[], int], others: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.others = PathLimits(others or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Buffer a body within the limit for the app; reject a larger one once it has arrived completely."""
        if scope["type"] != "http" or scope["method"] in METHODS_WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        common = self.limit()
        limit = self.others.of(scope["path"]) or common
        kept: list[Message] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client went away
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size <= limit:
                kept.append(message)
            else:
                kept.clear()
        if size > limit:
            await _refuse(
                TooLarge(f"The body has {size} bytes; this service accepts at most {limit}"), scope, receive, send
            )
            return
        if size > common:
            # Only paths for files have a higher limit. A body without a content type is a file there.
            if b"json" in _content_type(scope):
                refusal = TooLarge(
                    f"The JSON has {size} bytes; this service accepts at most {common}, and more only in files"
                )
                await _refuse(refusal, scope, receive, send)
                return
        elif _may_be_json(scope) and too_deep(b"".join(message.get("body", b"") for message in kept)):
            await _refuse(
                BadRequest(f"The nesting of the body is deeper than {DEEPEST} levels"), scope, receive, send
            )
            return

        async def replay() -> Message:
            return kept.pop(0) if kept else await receive()

        await self.app(scope, replay, send)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    await problem.response(scope["path"])(scope, receive, send)


def _content_type(scope: Scope) -> bytes:
    kind: bytes = dict(scope["headers"]).get(b"content-type", b"").lower()
    return kind


def _may_be_json(scope: Scope) -> bool:
    """Return whether the body may be parsed as JSON: a JSON or absent content type, or a pushed event."""
    kind = _content_type(scope)
    return not kind or b"json" in kind or scope["path"].startswith("/callbacks/")
