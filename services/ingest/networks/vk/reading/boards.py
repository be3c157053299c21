"""Read the discussions of a community: topics and their comments."""

from collections.abc import Sequence
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
    next_offset,
)
from services.ingest.networks.vk.vk_client import VkClient
from shared import clock
from shared.logs import get_logger

log = get_logger(__name__)

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
        """Return whether there are tokens that may read topics and comments, even if they are not usable now."""
        methods = ("board.getTopics", "board.getComments")
        return all(self._client.has_token(method, *READER_TOKEN_KINDS) for method in methods)

    async def topics(self, page: PageRef, *, limit: int = MAX_TOPICS) -> list[Topic]:
        """Return topics, last updated first; pinned topics come before them."""
        found: list[Topic] = []
        offset, is_last = 0, False
        while not is_last and offset < limit:
            answer = await self._read(
                "board.getTopics",
                page,
                order=ORDER_UPDATED_FIRST,
                offset=offset,
                count=TOPICS_PER_CALL,
            )
            listed = list_items(answer, "board.getTopics")
            offset, is_last = next_offset(answer, listed, offset, TOPICS_PER_CALL)
            found += [
                Topic(
                    raw["id"],
                    datetime.fromtimestamp(int_field(raw, "updated", int_field(raw, "created")), UTC),
                    int_field(raw, "comments"),
                )
                for raw in listed
                if isinstance(raw, dict) and isinstance(raw.get("id"), int)
            ]
        return found

    async def comments(self, page: PageRef, topic_id: int, *, parsed: ParsedBatch | None = None) -> ParsedBatch:
        """Return all comments of a topic. `parsed`: the batch to fill, which has what was read before an error."""
        parsed = ParsedBatch() if parsed is None else parsed
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

    async def read_topic_if_open(
        self, page: PageRef, topic_id: int, intake: IntakeStore
    ) -> tuple[ParsedBatch, CallError | None]:
        """Return all comments of a topic, and deletions of stored comments that two reads did not return; of a
        topic that may not be read, what was read before the refusal, and the refusal.
        """
        observed_at = clock.now()
        parsed = ParsedBatch()
        try:
            await self.comments(page, topic_id, parsed=parsed)
            thread_key = vk_payloads.BOARD_THREAD.thread(page, topic_id)
            stored = await intake.undeleted_ids(page, "comment", thread_key=thread_key)
            missing = ObservedIds(parsed).missing(stored, observed_at)
            if missing:
                again = await self.comments(page, topic_id)
                missing = ObservedIds(again).missing({one: stored[one] for one in missing}, observed_at)
                parsed.items += [deletion("comment", one, thread_key, stored[one]) for one in missing]
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS:
                raise
            return parsed, error
        return parsed, None

    async def check_page(self, page: PageRef, intake: IntakeStore) -> bool:
        """Read topics that differ from the stored state; return whether the community allows reading them.

        Those that the network refuses are read again with growing delays, like those whose count differs.
        """
        try:
            topics = await self.topics(page, limit=TOPICS_PER_CALL)
        except CallError as error:
            if error.treatment not in CLOSED_TREATMENTS:
                raise
            return False
        keys = {vk_payloads.BOARD_THREAD.thread(page, topic.id): topic for topic in topics}
        known = await intake.thread_states(list(keys))
        others = await intake.threads_with_other_count({key: topic.comments for key, topic in keys.items()})
        refusals: list[CallError] = []
        for key, topic in keys.items():
            mark = known.get(key)
            if mark is not None and mark.marker == topic.marker and key not in others:
                continue
            observed_at = clock.now()
            parsed, refusal = await self.read_topic_if_open(page, topic.id, intake)
            if refusal is not None:
                refusals.append(refusal)
            marks = [ThreadState(key, topic.marker, count=topic.comments, is_refused=refusal is not None)]
            await intake.store(page, SOURCE, parsed, observed_at=observed_at, thread_states=marks)
        report_topics_read(page, refusals, intake)
        return True

    async def _read(self, method: str, page: PageRef, **params: Any) -> Any:
        return await self._client.read_with_any_token(
            method, *READER_TOKEN_KINDS, group_id=page.external_id, **params
        )


def report_topics_read(page: PageRef, refusals: Sequence[CallError], intake: IntakeStore) -> None:
    """Report a read of the topics; `/sources` shows how many of them the network refuses."""
    if not refusals:
        intake.report_success(page, SOURCE)
        return
    codes = sorted({one.code for one in refusals})
    log.warning("topics refused", page_id=str(page.id), codes=codes, topics=len(refusals))
    numbers = ", ".join(str(code) for code in codes)
    remark = f"ВКонтакте не показывает обсуждений: {len(refusals)} (ошибки: {numbers}). Остальные прочитаны."
    intake.report_success(page, SOURCE, remark=remark)
