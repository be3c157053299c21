"""Stored OK topics that the group's list no longer shows: only those that are gone are marked deleted."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.ok.ok_errors import treatment
from services.ingest.networks.ok.reading.discussion_reader import TopicPage
from services.ingest.networks.ok.reading.topic_poll import MAX_MISSING_CHECKS, TopicPoller
from services.ingest.networks.port import PageRef, ParsedBatch, StoreResult
from services.ingest.settings import IngestSettings
from tests.unit.ingest.settings_keys import KEYS

NOW = datetime(2026, 3, 4, tzinfo=UTC)
PAGE = PageRef(
    id=UUID(int=1), organisation_id=UUID(int=2), network="ok", external_id="50000000000001", go_live_at=NOW
)


@dataclass
class FakeGroup:
    """A group whose list shows no topic, and the store of its topics, newest first.

    `codes`: the error codes of reading the comments; a topic without a code can be read.
    """

    topics_stored: list[str]
    codes: dict[str, int]
    deleted: list[str] = field(default_factory=list)

    async def topics(self, page: PageRef) -> TopicPage:
        """Return the complete list of the group, which is empty."""
        return TopicPage(ParsedBatch(), {}, None, is_complete=True)

    async def topics_by_ids(self, pages: dict[str, PageRef]) -> list[Any]:
        """Return none of the topics."""
        return []

    async def comments(self, page: PageRef, discussion: str, anchor: str | None) -> tuple[ParsedBatch, None]:
        """Return no comments, or raise the topic's error."""
        if code := self.codes.get(discussion):
            raise CallError("ok", "discussions.getComments", code, "TEXT", treatment(code))
        return ParsedBatch(), None

    async def undeleted_ids(self, page: PageRef, kind: str, **_: Any) -> dict[str, datetime]:
        """Return the stored topics with their times; no comments are stored."""
        if kind != "wall_post":
            return {}
        left = [name for name in self.topics_stored if name not in self.deleted]
        return {name: NOW - timedelta(days=self.topics_stored.index(name)) for name in left}

    async def store(self, page: PageRef, source: str, parsed: ParsedBatch, **_: Any) -> StoreResult:
        """Record the deletions."""
        self.deleted += [item.external_id for item in parsed.items if item.change == "deleted"]
        return StoreResult()

    async def thread_states(self, keys: list[str]) -> dict[str, Any]:
        """Return no states."""
        return {}

    async def threads_with_other_count(self, counts: dict[str, int]) -> dict[str, int]:
        """Return no differences."""
        return {}


def _poller(group: Any) -> TopicPoller:
    pool: Any = None
    return TopicPoller(group, pool, group, IngestSettings(**KEYS))


@pytest.mark.parametrize("code", [455, 458])
async def test_restricted_topic_does_not_close_its_group_or_hide_a_deleted_one(code: int) -> None:
    group = FakeGroup(["restricted", "removed"], {"restricted": code, "removed": 300})
    await _poller(group).check_group(PAGE)
    assert group.deleted == ["removed"]


async def test_error_of_the_session_still_fails_the_check() -> None:
    group = FakeGroup(["removed"], {"removed": 102})
    assert treatment(102) not in {ErrorTreatment.NOT_FOUND, ErrorTreatment.DENIED}
    with pytest.raises(CallError):
        await _poller(group).check_group(PAGE)
    assert group.deleted == []


async def test_deleted_topic_behind_many_hidden_ones_is_found_by_a_later_check() -> None:
    hidden = [f"hidden{number}" for number in range(2 * MAX_MISSING_CHECKS)]
    group = FakeGroup([*hidden, "removed", "removed too"], {"removed": 300, "removed too": 300})
    poller = _poller(group)
    for _ in range(2):
        await poller.check_group(PAGE)
    assert group.deleted == []
    await poller.check_group(PAGE)
    assert group.deleted == ["removed", "removed too"]
