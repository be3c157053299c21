"""Discussions of a community: topics, and the comments in them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.ingest.networks.calls import CallError
from services.ingest.networks.port import Feed, PageRef, Parsed, ThreadMark
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.wall_reader import CLOSED, COMMENTS, READERS, Seen, gone, items, number
from shared import clock

WAY = "board_poll"
TOPICS = 100
MAX_TOPICS = 1_000
UPDATED_FIRST = 1

_seen = partial(vk_payloads.placed_comment, place=vk_payloads.BOARD, happened="seen")


@dataclass(frozen=True)
class Topic:
    """A topic and how it stands: when it was written to last, and how many comments it has."""

    id: int
    updated_at: datetime
    comments: int

    @property
    def marker(self) -> str:
        """Differs when something was written or deleted since."""
        return f"{int(self.updated_at.timestamp())}/{self.comments}"


class Boards:
    """Reads topics by a token that may: a service's or a person's."""

    def __init__(self, client: VkClient) -> None:
        self._client = client

    async def topics(self, page: PageRef, *, limit: int = MAX_TOPICS) -> list[Topic]:
        """Topics, those written to last first; pinned ones stand before them."""
        found: list[Topic] = []
        for offset in range(0, limit, TOPICS):
            answer = await self._read(
                "board.getTopics", page, order=UPDATED_FIRST, offset=offset, count=min(TOPICS, limit)
            )
            listed = items(answer, "board.getTopics")
            found += [
                Topic(
                    raw["id"],
                    datetime.fromtimestamp(number(raw, "updated", number(raw, "created")), UTC),
                    number(raw, "comments"),
                )
                for raw in listed
                if isinstance(raw, dict) and isinstance(raw.get("id"), int)
            ]
            if len(listed) < TOPICS:
                break
        return found

    async def comments(self, page: PageRef, topic_id: int) -> Parsed:
        """All comments of a topic."""
        parsed = Parsed()
        offset = 0
        while True:
            answer = await self._read(
                "board.getComments", page, topic_id=topic_id, offset=offset, count=COMMENTS, sort="asc", extended=1
            )
            names = vk_payloads.names_of(answer)
            listed = items(answer, "board.getComments")
            for raw in listed:
                parsed.add(_seen, raw, page, topic_id, names)
            offset += len(listed)
            if not listed or offset >= number(answer, "count"):
                return parsed

    async def compared(self, page: PageRef, topic_id: int, feed: Feed) -> Parsed:
        """All comments of a topic, and deletions of those that two readings no longer show."""
        observed_at = clock.now()
        parsed = await self.comments(page, topic_id)
        thread_key = vk_payloads.BOARD.thread(page, topic_id)
        stored = await feed.stored(page, "comment", thread_key=thread_key)
        missing = Seen(parsed).absent(stored, observed_at)
        if missing:
            again = await self.comments(page, topic_id)
            missing = Seen(again).absent({one: stored[one] for one in missing}, observed_at)
            parsed.items += [gone("comment", one, thread_key, stored[one]) for one in missing]
        return parsed

    async def look(self, page: PageRef, feed: Feed) -> bool:
        """Read topics that differ from what is stored; says whether the community lets them be read."""
        try:
            topics = await self.topics(page, limit=TOPICS)
        except CallError as error:
            if error.treatment not in CLOSED:
                raise
            return False
        keys = {vk_payloads.BOARD.thread(page, topic.id): topic for topic in topics}
        known = await feed.marks(list(keys))
        others = await feed.differing({key: topic.comments for key, topic in keys.items()})
        for key, topic in keys.items():
            mark = known.get(key)
            if mark is not None and mark.marker == topic.marker and key not in others:
                continue
            observed_at = clock.now()
            parsed = await self.compared(page, topic.id, feed)
            marks = [ThreadMark(key, topic.marker, count=topic.comments)]
            await feed.store(page, WAY, parsed, observed_at=observed_at, marks=marks)
        feed.well(page, WAY)
        return True

    async def _read(self, method: str, page: PageRef, **params: Any) -> Any:
        return await self._client.ask(method, *READERS, group_id=page.external_id, **params)
