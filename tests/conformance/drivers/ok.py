"""OK: comments and topics are polled, messages come through the Bot API; ids are text."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tests.conformance.drivers.base import Deliver, Driver, Kind, What, WrittenMessage

READING = (
    "discussions.getList",
    "discussions.getComments",
    "mediatopic.getTopics",
    "mediatopic.getByIds",
    "graph.user.chats.get",
    "graph.user.messages.get",
    "webhook",
)


class OkDriver(Driver):
    """The driver of the OK emulator."""

    network = "ok"
    capabilities = frozenset({"calls_us", "message_reply", "people_leave", "photos", "changes", "repeats"})
    pushes = "message"
    pushed_at = "/callbacks/ok/{secret}"
    push_settings: ClassVar[dict[str, str]] = {"ok_subscription_check_seconds": "1", "ok_chat_poll_seconds": "600"}
    comment_length = 3_000
    message_length = 4_000
    refusal_codes: ClassVar[dict[str, str]] = {
        "comments_closed": "ok:",
        "blocked": "ok:458",
        "too_old": "ok:704",
    }
    changing_calls: ClassVar[dict[str, str]] = {
        "edit": "discussions.editDiscussionComment",
        "delete": "discussions.deleteDiscussionComment",
    }

    def photo_address(self, attachment: dict[str, Any]) -> str:
        """Return the URL at which the network shows an attached photo."""
        return str(attachment["payload"]["url"])

    def external_id(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return a topic's id; for a comment or message, its id with the topic or chat as prefix."""
        return str(answer["id"]) if kind == "wall_post" else f"{answer['thread']}/{answer['id']}"

    def thread_key(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the topic or the chat."""
        return f"ok:{answer['thread']}"

    def publishing_call(self, kind: Kind) -> str:
        """Return the Bot API's call for a message, the REST call for a comment."""
        return "graph.user.messages.post" if kind == "message" else "discussions.addDiscussionComment"

    async def drop_push(self, page: str) -> None:
        """Drop the webhooks of the page from now on."""
        await self.fault("drop", rate=1, method="webhook")

    @asynccontextmanager
    async def stop_push(self) -> AsyncIterator[None]:
        """Drop every call and every webhook until the block ends."""
        await self.fault("drop", rate=1)
        await self.fault("drop", rate=1, method="webhook")
        try:
            yield
        finally:
            await self.clear_faults()

    async def shuffle_responses(self) -> None:
        """Repeat and shuffle lists of discussions, topics, comments, chats and messages."""
        for kind in ("duplicate", "reorder"):
            for method in READING:
                await self.fault(kind, rate=1, method=method)

    async def close_page(self, page: str, *, closed: bool) -> None:
        """Remove our accounts from the group's administrators and close the group, or undo both."""
        await self.call("page", page=page, administered=not closed, closed=closed)

    async def close_comments(self, post: WrittenMessage, *, closed: bool) -> None:
        """Close the topic's discussion, or open it again."""
        await self.call("commenting", page=post.page, thread=post.thread, closed=closed)

    async def block(self, page: str, author: str) -> None:
        """Make the network refuse messages of the group to this person."""
        await self.call("permission", page=page, author=author, allowed=False)

    @asynccontextmanager
    async def edit_window_over(self) -> AsyncIterator[None]:
        """Make the network refuse edits of comments until the block ends."""
        await self.call("settings", edit_window_seconds=0)
        try:
            yield
        finally:
            await self.call("settings", edit_window_seconds=86_400)

    async def deactivate(self, author: str) -> None:
        """Delete the person's account."""
        await self.call("person", author=author, state="deleted")

    async def announce(
        self, deliver: Deliver, what: What, about: WrittenMessage, text: str, event_id: str
    ) -> None:
        """Push a webhook about a message: the Bot API pushes no other texts."""
        assert what == "new", "OK pushes only new messages"
        await deliver(
            {
                "webhookType": "MESSAGE_CREATED",
                "sender": {"user_id": f"user:{about.author}", "name": "Житель"},
                "recipient": {"chat_id": about.thread},
                "message": {"text": text, "seq": 115_000_000_000_000_001, "mid": about.id},
                "timestamp": int(time.time() * 1000),
            }
        )

    async def announce_garbage(self, deliver: Deliver, page: str, mark: str) -> None:
        """Push a message event without sender, chat and text."""
        await deliver({"webhookType": "MESSAGE_CREATED", "mark": mark})

    def unknown_message(self, page: str, thread: WrittenMessage, number: int, text: str) -> WrittenMessage:
        """Return a message of a new chat."""
        chat = f"chat:C{900_000 + number}"
        return self._written(
            page, "message", text, {"id": f"mid:{chat[5:]}.1", "thread": chat, "author": "700900"}
        )
