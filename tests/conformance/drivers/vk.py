"""VK: Bots Long Poll pushes, walls are polled; ids are numbers within a wall or a conversation."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tests.conformance.drivers.base import CAPABILITIES, Deliver, Driver, Kind, What, WrittenMessage

V = "5.199"
READING = (
    "a_check",
    "execute",
    "wall.get",
    "wall.getById",
    "wall.getComments",
    "board.getTopics",
    "board.getComments",
    "messages.getConversations",
    "messages.getHistory",
)


class VkDriver(Driver):
    """The driver of the VK emulator."""

    network = "vk"
    capabilities = frozenset(CAPABILITIES)
    pushes = "comment"
    pushed_at = "/callbacks/vk"
    push_settings: ClassVar[dict[str, str]] = {"vk_push": "callback", "vk_callback_check_seconds": "1"}
    comment_length = 4_096
    message_length = 4_096
    refusal_codes: ClassVar[dict[str, str]] = {
        "comments_closed": "vk:213",
        "blocked": "vk:900",
        "too_old": "vk:909",
    }
    edit_window_of = "message"
    changing_calls: ClassVar[dict[str, str]] = {"edit": "wall.editComment", "delete": "wall.deleteComment"}

    def photo_address(self, attachment: dict[str, Any]) -> str:
        """Return the URL at which the network shows an attached photo."""
        return str(attachment["photo"]["sizes"][0]["url"])

    def external_id(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the wall and the number; for a message, community, person and number in the conversation."""
        if kind == "message":
            return f"{page}_{answer['author']}_{answer['conversation_message_id']}"
        board = f"{answer['thread']}_" if str(answer["thread"]).startswith("board") else ""
        return f"-{page}_{board}{answer['id']}"

    def thread_key(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the post or the conversation."""
        return f"vk:{page}_{answer['thread']}" if kind == "message" else f"vk:-{page}_{answer['thread']}"

    def publishing_call(self, kind: Kind) -> str:
        """Return `messages.send` or `wall.createComment`."""
        return "messages.send" if kind == "message" else "wall.createComment"

    async def drop_push(self, page: str) -> None:
        """Drop Long Poll's history."""
        await self.call("longpoll", page=page, event="history_lost")

    @asynccontextmanager
    async def stop_push(self) -> AsyncIterator[None]:
        """Drop connections of Long Poll and of all reading methods until the block ends."""
        for method in READING:
            await self.fault("drop", rate=1, method=method)
        try:
            yield
        finally:
            await self.clear_faults()

    async def board(self, page: str, text: str) -> WrittenMessage:
        """Open a topic in the community's discussions; return its first comment."""
        answer = await self.call("board", page=page, title="Тема", text=text)
        listed = await self.method("board.getComments", await self._reader(), group_id=page, topic_id=answer["id"])
        first = listed["response"]["items"][0]["id"]
        return self._written(page, "comment", text, {"id": first, "thread": answer["thread"]})

    def named(self, what: WrittenMessage) -> dict[str, Any]:
        """Return the fields that identify a text; discussion comments are numbered within their topic."""
        return super().named(what) | ({"thread": what.thread} if what.thread.startswith("board") else {})

    async def _reader(self) -> str:
        items = (await self.control.get("/_control/tokens")).json()["items"]
        return next(str(one["token"]) for one in items if one["kind"] == "service")

    async def shuffle_responses(self) -> None:
        """Repeat and shuffle items from Long Poll and all reading methods."""
        for kind in ("duplicate", "reorder"):
            for method in READING:
                await self.fault(kind, rate=1, method=method)

    async def close_page(self, page: str, *, closed: bool) -> None:
        """Switch the wall off, or on again."""
        await self.call("wall", page=page, state="disabled" if closed else "open")

    async def close_comments(self, post: WrittenMessage, *, closed: bool) -> None:
        """Close the post to comments, or open it again."""
        await self.call("commenting", page=post.page, thread=int(post.thread), closed=closed)

    async def method(self, name: str, token: str, **params: Any) -> Any:
        """Call a method of the network's own API as an ordinary user."""
        answer = await self.control.post(f"/method/{name}", data={**params, "access_token": token, "v": V})
        return answer.json()

    async def block(self, page: str, author: str) -> None:
        """Put the community on this person's blacklist."""
        await self.call("privacy", page=page, author=int(author), block="blacklist")

    @asynccontextmanager
    async def edit_window_over(self) -> AsyncIterator[None]:
        """Make the network refuse edits of messages until the block ends."""
        await self.call("settings", message_edit_seconds=0)
        try:
            yield
        finally:
            await self.call("settings", message_edit_seconds=86_400)

    async def deactivate(self, author: str) -> None:
        """Delete the person's page."""
        await self.call("author", id=int(author), deactivated="deleted")

    async def announce(
        self, deliver: Deliver, what: What, about: WrittenMessage, text: str, event_id: str
    ) -> None:
        """Push a Callback API event about a comment."""
        content: dict[str, Any] = {"id": int(about.id), "post_id": int(about.thread), "owner_id": -int(about.page)}
        if what == "deleted":
            content |= {"deleter_id": int(about.author)}
        else:
            content |= {"from_id": int(about.author), "date": int(time.time()), "text": text, "parents_stack": []}
        kind = {"new": "wall_reply_new", "edited": "wall_reply_edit", "deleted": "wall_reply_delete"}[what]
        await deliver({"group_id": int(about.page), "type": kind, "event_id": event_id, "v": V, "object": content})

    async def announce_garbage(self, deliver: Deliver, page: str, mark: str) -> None:
        """Push a comment event without the comment's id."""
        content = {"mark": mark, "owner_id": -int(page)}
        await deliver(
            {"group_id": int(page), "type": "wall_reply_new", "event_id": mark, "v": V, "object": content}
        )

    def unknown_message(self, page: str, thread: WrittenMessage, number: int, text: str) -> WrittenMessage:
        """Return a comment that exists on no wall."""
        answer = {"id": 900_000 + number, "thread": thread.thread, "author": 700_900}
        return self._written(page, "comment", text, answer)
