"""Comparing conversations with what is stored, by the community's own token."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.ingest.networks.calls import CallError, CallLost, NoToken
from services.ingest.networks.port import Feed, PageRef, Parsed, ThreadMark, TokenKind
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from services.ingest.networks.vk.wall_reader import items, number
from shared import clock

WAY = "dialogs_poll"
PAGE = 200
WALK_PAGE = 20
# Conversations that are read and stored together.
TOGETHER = 10
MAX_DEPTH = 5_000
MAX_TALKS = 100_000


@dataclass(frozen=True)
class Talk:
    """A conversation and its last message."""

    key: str
    peer: int
    last: int
    last_at: datetime | None


@dataclass
class Talks:
    """Some conversations with their messages; `listed` of `total` in the network."""

    parsed: Parsed
    listed: int
    total: int
    last: bool


class Dialogs:
    """Reads the conversations of a page whose last message is not stored yet."""

    def __init__(self, client: VkClient, feed: Feed) -> None:
        self._client = client
        self._feed = feed

    def can_read(self, page: PageRef) -> bool:
        """Whether the page has a usable token of its own."""
        try:
            self._client.credential("messages.getConversations", TokenKind.GROUP, page_id=page.id)
        except NoToken:
            return False
        return True

    async def look(self, page: PageRef) -> None:
        """Compare all conversations of a page, the freshest first, until a page of them has no news."""
        for offset in range(0, MAX_TALKS, PAGE):
            answer = await self._conversations(page, offset, PAGE)
            talks = _talks(items(answer, "messages.getConversations"), page)
            known = await self._feed.marks([talk.key for talk in talks])
            news = [
                (talk, int(mark.marker or 0) if (mark := known.get(talk.key)) else 0)
                for talk in talks
                if talk.key not in known or int(known[talk.key].marker or 0) < talk.last
            ]
            # The oldest first: what an interruption leaves undone stays on top of the list.
            news.sort(key=lambda one: one[0].last)
            for start in range(0, len(news), TOGETHER):
                await self._catch_up(page, news[start : start + TOGETHER])
            if not news or len(talks) < PAGE:
                break
        self._feed.well(page, WAY)

    async def _catch_up(self, page: PageRef, news: Sequence[tuple[Talk, int]]) -> None:
        observed_at = clock.now()
        answers = await self._first(page, [talk for talk, _ in news])
        parsed, marks = Parsed(), []
        for (talk, after), answer in zip(news, answers, strict=True):
            if not isinstance(answer, CallError):  # closed for us, as it will be next time
                parsed.extend(await self.history(page, talk.peer, after=after, first=answer))
            marks.append(ThreadMark(talk.key, str(talk.last)))
        await self._feed.store(page, WAY, parsed, observed_at=observed_at, marks=marks)

    async def _first(self, page: PageRef, talks: Sequence[Talk]) -> list[Any]:
        """The newest messages of each, a `CallError` where they may not be read."""
        calls = [{"group_id": page.external_id} | _history(talk.peer, 0) for talk in talks]
        return await self._client.read_many("messages.getHistory", calls, TokenKind.GROUP, page_id=page.id)

    async def since(self, page: PageRef, since: datetime, offset: int) -> Talks:
        """Conversations from `offset` on, the freshest first, with what was said in them at `since` or later."""
        answer = await self._conversations(page, offset, WALK_PAGE)
        listed = items(answer, "messages.getConversations")
        parsed = Parsed()
        talks = _talks(listed, page)
        fresh = [talk for talk in talks if talk.last_at is None or talk.last_at >= since]
        for talk, first in zip(fresh, await self._first(page, fresh), strict=True):
            if not isinstance(first, CallError):
                parsed.extend(await self.history(page, talk.peer, since=since, first=first))
        last = len(listed) < WALK_PAGE or (bool(talks) and not fresh)
        return Talks(parsed, len(listed), number(answer, "count"), last)

    async def history(
        self,
        page: PageRef,
        peer: int,
        *,
        after: int = 0,
        since: datetime | None = None,
        first: Any = None,
    ) -> Parsed:
        """Messages of one conversation, newest first: younger than the message `after` and than `since`.

        `first`: the answer to the first call, if it was made.
        """
        parsed = Parsed()
        for offset in range(0, MAX_DEPTH, PAGE):
            answer = first if offset == 0 else None
            if answer is None:
                answer = await self._read(page, "messages.getHistory", **_history(peer, offset))
            names = vk_payloads.names_of(answer)
            listed = items(answer, "messages.getHistory")
            here = Parsed()
            for raw in listed:
                here.add(vk_payloads.message, raw, page, names, "seen")
            parsed.extend(here)
            oldest = min((number(raw, "id") for raw in listed if isinstance(raw, dict)), default=0)
            earliest = min((item.written_at for item in here.items), default=None)
            if (
                len(listed) < PAGE
                or oldest <= after
                or (since is not None and earliest is not None and earliest < since)
            ):
                break
        return parsed

    async def since_number(self, page: PageRef, peer: int, after: int) -> Parsed:
        """All messages of one conversation whose number in it is greater than `after`, or more.

        Raises `CallLost` when there are more than are ever read: then they are not all.
        """
        parsed = Parsed()
        for offset in range(0, MAX_DEPTH, PAGE):
            answer = await self._read(page, "messages.getHistory", **_history(peer, offset))
            names = vk_payloads.names_of(answer)
            listed = items(answer, "messages.getHistory")
            for raw in listed:
                parsed.add(vk_payloads.message, raw, page, names, "seen")
            oldest = min(
                (number(raw, "conversation_message_id") for raw in listed if isinstance(raw, dict)), default=0
            )
            if len(listed) < PAGE or oldest <= after:
                return parsed
        raise CallLost(NETWORK, "messages.getHistory", "the conversation is longer than is read")

    async def _conversations(self, page: PageRef, offset: int, count: int) -> Any:
        return await self._read(
            page, "messages.getConversations", offset=offset, count=count, extended=1, filter="all"
        )

    async def _read(self, page: PageRef, method: str, **params: Any) -> Any:
        return await self._client.ask(
            method, TokenKind.GROUP, page_id=page.id, group_id=page.external_id, **params
        )


def _history(peer: int, offset: int) -> dict[str, Any]:
    return {"peer_id": peer, "offset": offset, "count": PAGE, "extended": 1}


def _talks(listed: list[Any], page: PageRef) -> list[Talk]:
    found = []
    for item in listed:
        conversation = item.get("conversation") if isinstance(item, dict) else None
        peer = conversation.get("peer") if isinstance(conversation, dict) else None
        if not isinstance(conversation, dict) or not isinstance(peer, dict) or not isinstance(peer.get("id"), int):
            continue
        latest = item.get("last_message")
        date = latest.get("date") if isinstance(latest, dict) else None
        found.append(
            Talk(
                key=f"vk:{page.external_id}_{peer['id']}",
                peer=peer["id"],
                last=number(conversation, "last_message_id"),
                last_at=datetime.fromtimestamp(date, UTC) if isinstance(date, int) else None,
            )
        )
    return found
