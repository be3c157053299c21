"""What a behaviour may ask of a network's emulator, in the same words for every network.

A driver turns these words into calls of the control door, and tells the ids under which ingest has to store it.
A new network writes a driver of its own beside its adapter.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import httpx

from tests.support.service_under_test import DROPPED_FIRST

Kind = Literal["comment", "wall_post", "message"]
Who = Literal["author", "community"]
What = Literal["new", "edited", "deleted"]
# Brings the body of a pushed event to ingest's door for this network's events.
Deliver = Callable[[dict[str, Any]], Awaitable[None]]

TELLS = {
    "deleter": "does not tell who deleted a comment",
    "restored": "does not bring a deleted comment back",
    "message_edited": "does not tell that a private message was edited",
    "message_reply": "does not tell which message a message answers",
    "numbers_by_page": "gives no two comments of two pages the same id",
    "order": "pushes no edits and deletions, which could come twice or in another order",
    "calls_us": "pushes to no address of ours",
    "people_leave": "has no accounts that end",
    "boards": "has no discussions beside its posts",
    "repeats": "is played by a server that cannot repeat and shuffle its answers",
}
"""What a network may let anybody know, and what is said of one that does not."""


@dataclass(frozen=True, slots=True)
class Written:
    """Something that stands in the network: its ids there, and the ids it has to have here."""

    page: str
    kind: Kind
    id: str
    thread: str
    external_id: str
    thread_key: str
    text: str
    author: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the community published, as the network shows it."""

    id: str
    thread: str
    in_reply_to: str | None
    text: str


class Driver(ABC):
    """The part all networks of this house share: their emulators have control doors of one shape.

    `tells` holds the keys of `TELLS` that this network lets anybody know. `comment_length` and `message_length`
    are the longest texts of citizens. `pushes`: a kind whose events are pushed; `pushed_at`: the path in
    ingest that takes them, empty where ingest fetches events itself. `push_settings`: with them, what the network
    pushes to our address comes by no other way.
    """

    network: ClassVar[str]
    tells: ClassVar[frozenset[str]]
    comment_length: ClassVar[int]
    message_length: ClassVar[int]
    refusal_codes: ClassVar[dict[str, str]]
    push_settings: ClassVar[dict[str, str]] = {}
    pushes: ClassVar[Kind]
    pushed_at: ClassVar[str] = ""

    def __init__(self, url: str) -> None:
        self.url = url
        self.door = httpx.AsyncClient(base_url=url, timeout=60, limits=DROPPED_FIRST)
        self._open_ground: dict[str, str] = {}

    # --- where the network differs ------------------------------------------------------------------

    @abstractmethod
    def external_id(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """The external id of what the door says was written."""

    @abstractmethod
    def thread_key(self, page: str, kind: Kind, answer: dict[str, Any]) -> str:
        """The thread key of what the door says was written."""

    @abstractmethod
    def publishing_call(self, kind: Kind) -> str:
        """The name under which the emulator's faults know the call that publishes."""

    @abstractmethod
    async def lose_push(self, page: str) -> None:
        """What the network would have pushed until now never comes."""

    @abstractmethod
    def silence(self) -> AbstractAsyncContextManager[None]:
        """Nothing is pushed, and no look succeeds, as long as this lasts."""

    @abstractmethod
    async def close_page(self, page: str, *, closed: bool) -> None:
        """The page's wall or group is closed to readers, or open again."""

    @abstractmethod
    async def close_comments(self, post: Written, *, closed: bool) -> None:
        """Nobody may comment the post any more, or everybody again."""

    @abstractmethod
    async def block(self, page: str, author: str) -> None:
        """A citizen forbids the page to write to them."""

    async def board(self, page: str, text: str) -> Written:
        """The community opens a discussion; its first comment."""
        raise AssertionError(f"{self.network} has no such thing: its `tells` must not name what needs it")

    async def mangle(self) -> None:
        """Every answer to a reading call holds things twice and in any order, until `mend`."""
        raise AssertionError(f"{self.network} has no such thing: its `tells` must not name what needs it")

    async def deactivate(self, author: str) -> None:
        """A citizen's account is deleted."""
        raise AssertionError(f"{self.network} has no such thing: its `tells` must not name what needs it")

    @abstractmethod
    async def announce(self, deliver: Deliver, what: What, about: Written, text: str, event_id: str) -> None:
        """Push an event of `pushes`, whether it happened in the network or not, and in any order."""

    @abstractmethod
    async def announce_garbage(self, deliver: Deliver, page: str, mark: str) -> None:
        """Push an event that cannot be parsed and contains `mark`."""

    @abstractmethod
    def phantom(self, page: str, thread: Written, number: int, text: str) -> Written:
        """Something of the kind `pushes` that never was in the network, to be announced."""

    # --- what is the same ---------------------------------------------------------------------------

    async def call(self, path: str, **body: Any) -> dict[str, Any]:
        """A call of the control door."""
        answer = await self.door.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        result: dict[str, Any] = answer.json()
        return result

    async def page(self, name: str) -> str:
        """A page of the network; its id as text."""
        return str((await self.call("pages", name=name, screen_name=name))["id"])

    async def keep_open_ground(self, page: str, text: str) -> None:
        """From now on, comments on this page without a place go where this one goes, whatever is posted later.

        Behaviours share a page and close or delete posts of their own.
        """
        self._open_ground[page] = (await self.citizen(page, text)).thread

    async def citizen(
        self,
        page: str,
        text: str,
        kind: Kind = "comment",
        *,
        under: Written | None = None,
        to: Written | None = None,
        author: str | None = None,
        attachments: list[str] | None = None,
    ) -> Written:
        """A citizen writes: `under` a post or into a dialogue, in answer `to` something."""
        body: dict[str, Any] = {"page": page, "kind": kind, "text": text}
        if kind == "comment" and page in self._open_ground:
            body["thread"] = self._open_ground[page]
        body |= {} if under is None else {"thread": under.thread}
        body |= {} if to is None else {"thread": to.thread, "in_reply_to": to.id}
        body |= {} if author is None else {"author": author}
        body |= {} if not attachments else {"attachments": attachments}
        answer = await self.call("citizen", **body)
        return self._written(page, kind, text, answer)

    async def post(self, page: str, text: str) -> Written:
        """The community publishes a post."""
        answer = await self.call("post", page=page, text=text)
        return self._written(page, "wall_post", text, answer)

    async def staff(self, under: Written, text: str, *, to: Written | None = None) -> dict[str, Any]:
        """The community's staff write by hand under a post or into a dialogue; answers the door's words."""
        body: dict[str, Any] = {"page": under.page, "thread": under.thread, "text": text}
        body |= {} if to is None else {"in_reply_to": to.id}
        return await self.call("community", **body)

    def _written(self, page: str, kind: Kind, text: str, answer: dict[str, Any]) -> Written:
        return Written(
            page=page,
            kind=kind,
            id=str(answer["id"]),
            thread=str(answer["thread"]),
            external_id=self.external_id(page, kind, answer),
            thread_key=self.thread_key(page, kind, answer),
            text=text,
            author=str(answer.get("author", "")),
        )

    def named(self, what: Written) -> dict[str, Any]:
        """How the door is told which text is meant."""
        return {"page": what.page, "id": what.id, "kind": what.kind}

    async def edit(self, what: Written, text: str) -> None:
        """Its author changes a text."""
        await self.call("edit", text=text, **self.named(what))

    async def delete(self, what: Written, by: Who = "author") -> None:
        """Its author or the community deletes something."""
        await self.call("delete", by=by, **self.named(what))

    async def restore(self, what: Written) -> None:
        """The community brings a deleted comment back."""
        await self.call("restore", page=what.page, id=what.id)

    async def answers(self, page: str, text: str = "") -> list[Answer]:
        """What the community published in the page's threads, oldest first; with `text`, only what begins so."""
        answer = await self.door.get("/_control/answers", params={"page": page})
        return [
            Answer(
                id=str(one["id"]),
                thread=str(one["thread"]),
                in_reply_to=None if one["in_reply_to"] is None else str(one["in_reply_to"]),
                text=one["text"],
            )
            for one in answer.json()["items"]
            if one["text"].startswith(text)
        ]

    async def tokens(self, page: str) -> list[dict[str, Any]]:
        """Working credentials of a page, and those that serve all pages."""
        items = (await self.door.get("/_control/tokens")).json()["items"]
        return [one for one in items if one["kind"] != "group" or str(one["page"]) == page]

    async def new_token(self, page: str) -> dict[str, Any]:
        """One more credential of the page; where the network so wishes, it ends the one before."""
        return await self.call("tokens", kind="group", page=page)

    async def revoke(self, token: str) -> None:
        """From now on the network refuses the token."""
        await self.call("tokens/revoke", token=token)

    async def fault(self, kind: str, **more: Any) -> None:
        """Arm a fault; `mend` ends all."""
        await self.call("faults", kind=kind, **more)

    async def mend(self) -> None:
        """No faults any more."""
        await self.door.delete("/_control/faults")
