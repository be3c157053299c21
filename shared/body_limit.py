"""A limit on request bodies that answers politely: the rest is read and thrown away, then comes the 413.

A server that answers and closes while the client still sends resets the connection, and most clients then report
a broken pipe instead of the answer. The gateway's own, larger limit bounds what is thrown away.
"""

from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.problems import TooLarge


class BodyLimit:
    """ASGI middleware: bodies over `limit()` bytes get 413 without being kept; paths in `others` differ."""

    def __init__(self, app: ASGIApp, limit: Callable[[], int], others: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.others = others or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Buffer a body within the limit for the app; refuse a larger one once all of it has come."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        limit = self.others.get(scope["path"]) or self.limit()
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
            problem = TooLarge(f"The body has {size} bytes; this service takes {limit}")
            await problem.response(scope["path"])(scope, receive, send)
            return

        async def replay() -> Message:
            return kept.pop(0) if kept else await receive()

        await self.app(scope, replay, send)
