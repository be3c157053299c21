"""The example network's driver: an example for developers of a new adapter."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tests.conformance.drivers.base import Deliver, Driver, Kind, What, WrittenMessage


class ExampleDriver(Driver):
    """The driver of `tests.conformance.example.server`."""

    network = "example"
    capabilities = frozenset(
        {"deleter", "restored", "message_edited", "message_reply", "numbers_by_page", "order"}
    )
    pushes = "comment"
    comment_length = 1_000
    message_length = 500
    refusal_codes: ClassVar[dict[str, str]] = {"comments_closed": "example:409", "blocked": "example:451"}

    def external_id(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the page and the item's number on it."""
        return f"{page}/{answer['id']}"

    def thread_key(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the page and the post's number or, for a message, the person."""
        return f"example:{page}/{answer['thread']}"

    def publishing_call(self, kind: Kind) -> str:
        """Return the same call for all kinds."""
        return "send"

    async def drop_push(self, page: str) -> None:
        """Delete the page's list of changes."""
        await self.call("forget", page=page)

    @asynccontextmanager
    async def stop_push(self) -> AsyncIterator[None]:
        """Fail every read until the block ends."""
        for method in ("changes", "items"):
            await self.fault("drop", rate=1, method=method)
        try:
            yield
        finally:
            await self.clear_faults()

    async def close_page(self, page: str, *, closed: bool) -> None:
        """Refuse all reads of the page, or allow them again."""
        await self.call("wall", page=page, state="closed" if closed else "open")

    async def close_comments(self, post: WrittenMessage, *, closed: bool) -> None:
        """Close the post to comments, or open it again."""
        await self.call("commenting", page=post.page, thread=post.thread, closed=closed)

    async def block(self, page: str, author: str) -> None:
        """Make the network refuse messages of the page to this citizen."""
        await self.call("block", author=author)

    async def announce(
        self, deliver: Deliver, what: What, about: WrittenMessage, text: str, event_id: str
    ) -> None:
        """Add a change to the page's list as if it had happened."""
        item = {"number": int(about.id), "kind": "comment", "thread": about.thread, "author": about.author}
        item |= {"at": time.time_ns() // 1_000_000} | ({} if what == "deleted" else {"text": text})
        change = {"id": event_id, "what": what, "by": about.author if what == "deleted" else None, "item": item}
        await self.call("say", page=about.page, change=change)

    async def announce_garbage(self, deliver: Deliver, page: str, mark: str) -> None:
        """Add a change whose item lacks all required fields."""
        await self.call("say", page=page, change={"id": mark, "what": "new", "item": {"mark": mark}})

    def unknown_message(self, page: str, thread: WrittenMessage, number: int, text: str) -> WrittenMessage:
        """Return a comment that exists on no page."""
        return self._written(
            page, "comment", text, {"id": 900_000 + number, "thread": thread.thread, "author": "17"}
        )
