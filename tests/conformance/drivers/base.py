"""The interface to a network's emulator that behaviours use: the same for every network.

A driver translates these methods into control API calls and returns the ids that ingest must store.
A new network needs its own driver beside its adapter.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import httpx

from tests.support.service_under_test import CLIENT_LIMITS

Kind = Literal["comment", "wall_post", "message"]
Who = Literal["author", "community"]
What = Literal["new", "edited", "deleted"]
# A function that posts the body of a pushed event to ingest's route for this network.
Deliver = Callable[[dict[str, Any]], Awaitable[None]]

CAPABILITIES = {
    "deleter": "does not report who deleted a comment",
    "restored": "does not restore deleted comments",
    "message_edited": "does not report that a direct message was edited",
    "message_reply": "does not report which message a message answers",
    "numbers_by_page": "gives no two comments of two pages the same id",
    "order": "pushes no edits and deletions, which could come twice or in a different order",
    "calls_us": "pushes to no address of ours",
    "people_leave": "has no accounts that are deleted",
    "boards": "has no discussions beside its posts",
    "photos": "takes no photos with comments",
    "changes": "lets no published reply be edited or deleted",
    "message_changes": "lets no message that was sent be edited or deleted",
    "repeats": "has an emulator that cannot repeat and shuffle its responses",
}
"""Capabilities that a network may lack, each with the reason shown for a network without it."""


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """An object in the network: its ids in the network, and the ids that ingest must derive."""

    page: str
    kind: Kind
    id: str
    thread: str
    external_id: str
    thread_key: str
    text: str
    author: str = ""


@dataclass(frozen=True, slots=True)
class PublishedReply:
    """A comment or message published by the community, as the network shows it. `photos`: URLs."""

    id: str
    thread: str
    in_reply_to: str | None
    text: str
    photos: tuple[str, ...] = ()


class Driver(ABC):
    """Base class of all drivers: the emulators have control APIs of the same form.

    `capabilities` holds the keys of `CAPABILITIES` that this network supports. `comment_length` and
    `message_length` are the maximum lengths of citizens' texts. `pushes`: a kind whose events are pushed;
    `pushed_at`: the path in ingest that receives these events, empty if ingest fetches events itself.
    `push_settings`: settings with which ingest reads pushed messages from no other source. `edit_window_of`: a
    kind of reply that can be edited only for a limited time; `changing_calls`: the names, in the emulator's
    faults, of the calls that edit and delete a comment.
    """

    network: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]
    comment_length: ClassVar[int]
    message_length: ClassVar[int]
    refusal_codes: ClassVar[dict[str, str]]
    edit_window_of: ClassVar[Kind] = "comment"
    changing_calls: ClassVar[dict[str, str]] = {}
    push_settings: ClassVar[dict[str, str]] = {}
    pushes: ClassVar[Kind]
    pushed_at: ClassVar[str] = ""

    def __init__(self, url: str) -> None:
        self.url = url
        self.control = httpx.AsyncClient(base_url=url, timeout=60, limits=CLIENT_LIMITS)
        self._open_ground: dict[str, str] = {}

    # --- different for each network -----------------------------------------------------------------

    @abstractmethod
    def external_id(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the external id of the object in the control API's response."""

    @abstractmethod
    def thread_key(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """Return the thread key of the object in the control API's response."""

    @abstractmethod
    def publishing_call(self, kind: Kind) -> str:
        """Return the name of the publishing call in the emulator's faults."""

    @abstractmethod
    async def drop_push(self, page: str) -> None:
        """Drop the events of the page that the network has not yet delivered by push."""

    @abstractmethod
    def stop_push(self) -> AbstractAsyncContextManager[None]:
        """Stop all pushes and fail all reads until the block ends."""

    @abstractmethod
    async def close_page(self, page: str, *, closed: bool) -> None:
        """Close the page's wall or group to readers, or open it again."""

    @abstractmethod
    async def close_comments(self, post: WrittenMessage, *, closed: bool) -> None:
        """Close the post to comments, or open it again."""

    @abstractmethod
    async def block(self, page: str, author: str) -> None:
        """Make the network refuse messages of the page to this citizen."""

    async def board(self, page: str, text: str) -> WrittenMessage:
        """Open a discussion as the community; return its first comment."""
        raise AssertionError(f"{self.network} does not support this: remove it from `capabilities`")

    async def shuffle_responses(self) -> None:
        """Repeat and shuffle the items in responses to reading calls until `clear_faults`."""
        raise AssertionError(f"{self.network} does not support this: remove it from `capabilities`")

    def edit_window_over(self) -> AbstractAsyncContextManager[None]:
        """End the edit window: the network refuses edits until the block ends."""
        raise AssertionError(f"{self.network} does not support this: remove it from `capabilities`")

    async def deactivate(self, author: str) -> None:
        """Delete a citizen's account."""
        raise AssertionError(f"{self.network} does not support this: remove it from `capabilities`")

    @abstractmethod
    async def announce(
        self, deliver: Deliver, what: What, about: WrittenMessage, text: str, event_id: str
    ) -> None:
        """Push an event about an object of the kind `pushes`; it need not have happened in the network."""

    @abstractmethod
    async def announce_garbage(self, deliver: Deliver, page: str, mark: str) -> None:
        """Push an event that cannot be parsed and contains `mark`."""

    @abstractmethod
    def unknown_message(self, page: str, thread: WrittenMessage, number: int, text: str) -> WrittenMessage:
        """Return an object of the kind `pushes` that never existed in the network, for `announce`."""

    # --- the same for all networks ------------------------------------------------------------------

    async def call(self, path: str, **body: Any) -> dict[str, Any]:
        """Call the control API."""
        answer = await self.control.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        result: dict[str, Any] = answer.json()
        return result

    async def page(self, name: str) -> str:
        """Create a page of the network; return its id as text."""
        return str((await self.call("pages", name=name, screen_name=name))["id"])

    async def keep_comments_open(self, page: str, text: str) -> None:
        """Write a comment and use its thread for later comments of `citizen` without `under`.

        Behaviours share a page, and some close or delete their own posts.
        """
        self._open_ground[page] = (await self.citizen(page, text)).thread

    async def citizen(
        self,
        page: str,
        text: str,
        kind: Kind = "comment",
        *,
        under: WrittenMessage | None = None,
        to: WrittenMessage | None = None,
        author: str | None = None,
        attachments: list[str] | None = None,
    ) -> WrittenMessage:
        """Write as a citizen under the post `under` or in a conversation, optionally in reply to the text `to`."""
        body: dict[str, Any] = {"page": page, "kind": kind, "text": text}
        if kind == "comment" and page in self._open_ground:
            body["thread"] = self._open_ground[page]
        body |= {} if under is None else {"thread": under.thread}
        body |= {} if to is None else {"thread": to.thread, "in_reply_to": to.id}
        body |= {} if author is None else {"author": author}
        body |= {} if not attachments else {"attachments": attachments}
        answer = await self.call("citizen", **body)
        return self._written(page, kind, text, answer)

    async def post(self, page: str, text: str) -> WrittenMessage:
        """Publish a post as the community."""
        answer = await self.call("post", page=page, text=text)
        return self._written(page, "wall_post", text, answer)

    async def staff(self, under: WrittenMessage, text: str, *, to: WrittenMessage | None = None) -> dict[str, Any]:
        """Write as the community's staff under a post or in a conversation; return the control API's response."""
        body: dict[str, Any] = {"page": under.page, "thread": under.thread, "text": text}
        body |= {} if to is None else {"in_reply_to": to.id}
        return await self.call("community", **body)

    def _written(self, page: str, kind: Kind, text: str, answer: dict[str, Any]) -> WrittenMessage:
        return WrittenMessage(
            page=page,
            kind=kind,
            id=str(answer["id"]),
            thread=str(answer["thread"]),
            external_id=self.external_id(page, kind, answer),
            thread_key=self.thread_key(page, kind, answer),
            text=text,
            author=str(answer.get("author", "")),
        )

    def named(self, what: WrittenMessage) -> dict[str, Any]:
        """Return the fields that identify this text in the control API."""
        return {"page": what.page, "id": what.id, "kind": what.kind}

    async def edit(self, what: WrittenMessage, text: str) -> None:
        """Edit a text as its author."""
        await self.call("edit", text=text, **self.named(what))

    async def delete(self, what: WrittenMessage, by: Who = "author") -> None:
        """Delete an object as its author or as the community."""
        await self.call("delete", by=by, **self.named(what))

    async def restore(self, what: WrittenMessage) -> None:
        """Restore a deleted comment as the community."""
        await self.call("restore", page=what.page, id=what.id)

    def photo_address(self, attachment: dict[str, Any]) -> str:
        """Return the URL at which the network shows an attached photo."""
        raise AssertionError(f"{self.network} does not support this: remove it from `capabilities`")

    async def answers(self, page: str, text: str = "") -> list[PublishedReply]:
        """Return the community's texts on the page that begin with `text`, oldest first."""
        answer = await self.control.get("/_control/answers", params={"page": page})
        return [
            PublishedReply(
                id=str(one["id"]),
                thread=str(one["thread"]),
                in_reply_to=None if one["in_reply_to"] is None else str(one["in_reply_to"]),
                text=one["text"],
                photos=tuple(self.photo_address(attachment) for attachment in one.get("attachments", ())),
            )
            for one in answer.json()["items"]
            if one["text"].startswith(text)
        ]

    async def tokens(self, page: str) -> list[dict[str, Any]]:
        """Return the valid credentials of a page and the credentials that serve all pages."""
        items = (await self.control.get("/_control/tokens")).json()["items"]
        return [one for one in items if one["kind"] != "group" or str(one["page"]) == page]

    async def new_token(self, page: str) -> dict[str, Any]:
        """Issue a new credential of the page; in some networks it invalidates the previous credential."""
        return await self.call("tokens", kind="group", page=page)

    async def revoke(self, token: str) -> None:
        """Make the network refuse the token from now on."""
        await self.call("tokens/revoke", token=token)

    async def fault(self, kind: str, **more: Any) -> None:
        """Arm a fault; `clear_faults` removes all faults."""
        await self.call("faults", kind=kind, **more)

    async def clear_faults(self) -> None:
        """Remove all faults."""
        await self.control.delete("/_control/faults")
