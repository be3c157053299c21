"""Read the discussions of a community: topics and their comments."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.ingest.networks.calls import CallError
from services.ingest.networks.port import IntakeStore, PageRef, ParsedBatch, ThreadState
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.reading.wall_reader import (
    CLOSED_TREATMENTS,
    COMMENTS_PER_CALL,
    READER_TOKEN_KINDS,
    ObservedIds,
    deletion,
    int_field,
    list_items,
)
from services.ingest.networks.vk.vk_client import VkClient
from shared import clock

SOURCE = "board_poll"
TOPICS_PER_CALL = 100
MAX_TOPICS = 1_000
ORDER_UPDATED_FIRST = 1

_parse_observed_comment = partial(
    vk_payloads.parse_thread_comment, thread_type=vk_payloads.BOARD_THREAD, happened="observed"
)


@dataclass(frozen=True)
class Topic:
    """A topic with the time of its last change and its comment count."""

    id: int
    updated_at: datetime
    comments: int

    @property
    def marker(self) -> str:
        """Return a marker of the topic's state, which changes when a comment is written or deleted."""
        return f"{int(self.updated_at.timestamp())}/{self.comments}"


class BoardReader:
    """Reads topics with a service or user token."""

    def __init__(self, client: VkClient) -> None:
        self._client = client

    def has_token(self) -> bool:
        """Return whether there are tokens that may read topics and comments, also if they are not usable now."""
        methods = ("board.getTopics", "board.getComments")
        return all(self._client.has_token(method, *READER_TOKEN_KINDS) for method in methods)

    async def topics(self, page: PageRef, *, limit: int = MAX_TOPICS) -> list[Topic]:
        """Return topics, last updated first; pinned topics come before them."""
        found: list[Topic] = []
        for offset in range(0, limit, TOPICS_PER_CALL):
            answer = await self._read(
                "board.getTopics",
                page,
                order=ORDER_UPDATED_FIRST,
                offset=offset,
                count=min(TOPICS_PER_CALL, limit),
            )
            listed = list_items(answer, "board.getTopics")
            found += [
                Topic(
                    raw["id"],
                    datetime.fromtimestamp(int_field(raw, "updated", int_field(raw, "created")), UTC),
                    int_field(raw, "comments"),
                )
                for raw in listed
                if isinstance(raw, dict) and isinstance(raw.get("id"), int)
            ]
            if len(listed) < TOPICS_PER_CALL:
                break
        return found

    async def comments(self, page: PageRef, topic_id: int) -> ParsedBatch:
        """Return all comments of a topic."""
        parsed = ParsedBatch()
        offset = 0
        while True:
            answer = await self._read(
                "board.getComments",
                page,
                topic_id=topic_id,
                offset=offset,
                count=COMMENTS_PER_CALL,
                sort="asc",
                extended=1,
            )
            names = vk_payloads.author_names(answer)
            listed = list_items(answer, "board.getComments")
            for raw in listed:
                parsed.parse(_parse_observed_comment, raw, page, topic_id, names)
            offset += len(listed)
            if not listed or offset >= int_field(answer, "count"):
                return parsed

    async def comments_with_deletions(self, page: PageRef, topic_id: int, intake: IntakeStore) -> ParsedBatch:
        """Return all comments of a topic, and deletions of stored comments that two reads did not return."""
        observed_at = clock.now()
        parsed = await self.comments(page, topic_id)
        thread_key = vk_payloads.BOARD_THREAD.thread(page, topic_id)
        stored = await intake.undeleted_ids(page, "comment", thread_key=thread_key)
        missing = ObservedIds(parsed).missing(stored, observed_at)
        if missing:
            again = await self.comments(page, topic_id)
            missing = ObservedIds(again).missing({one: stored[one] for one in missing}, observed_at)
            parsed.items += [deletion("comment", one, thread_key, stored[one]) for one in missing]
        return parsed

    async def check_page(self, page: PageRef, intake: IntakeStore) -> bool:
        """Read topics that differ from the stored state; return whether the community allows reading them."""
        try:
            topics = await self.topics(page, limit=TOPICS_PER_CALL)
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS:
                raise
            return False
        keys = {vk_payloads.BOARD_THREAD.thread(page, topic.id): topic for topic in topics}
        known = await intake.thread_states(list(keys))
        others = await intake.threads_with_other_count({key: topic.comments for key, topic in keys.items()})
        for key, topic in keys.items():
            mark = known.get(key)
            if mark is not None and mark.marker == topic.marker and key not in others:
                continue
            observed_at = clock.now()
            parsed = await self.comments_with_deletions(page, topic.id, intake)
            marks = [ThreadState(key, topic.marker, count=topic.comments)]
            await intake.store(page, SOURCE, parsed, observed_at=observed_at, thread_states=marks)
        intake.report_success(page, SOURCE)
        return True

    async def _read(self, method: str, page: PageRef, **params: Any) -> Any:
        return await self._client.read_with_any_token(
            method, *READER_TOKEN_KINDS, group_id=page.external_id, **params
        )
