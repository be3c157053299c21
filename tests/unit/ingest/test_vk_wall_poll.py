"""Polls of VK walls against a scripted network: their order, interruptions and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.port import PageRef, ParsedBatch, StoreResult, ThreadState
from services.ingest.networks.vk.reading.wall_poll import WallPoller
from services.ingest.networks.vk.reading.wall_reader import POSTS_PER_CALL, WallPage, next_offset
from services.ingest.settings import IngestSettings
from shared import clock
from tests.unit.ingest.settings_keys import KEYS

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="101",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@dataclass
class FakeWall:
    """A wall: comment counts by post. `threads_left` threads are read, then the network does not respond."""

    counts: dict[int, int]
    threads_left: int = 1_000_000
    bug: Exception | None = None
    read: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    on_wall_get: Any = None

    async def read_posts(self, page: PageRef, offset: int) -> WallPage:
        """Return a hundred posts, newest first."""
        if self.bug is not None:
            raise self.bug
        self.offsets.append(offset)
        shown = sorted(self.counts, reverse=True)[offset : offset + POSTS_PER_CALL]
        counts = {f"vk:-{page.external_id}_{post}": self.counts[post] for post in shown}
        after = offset + len(shown)
        return WallPage(after, after >= len(self.counts), counts=counts, oldest_at=page.go_live_at)

    async def deleted_posts(self, *_: Any) -> list[Any]:
        """Return none."""
        return []

    async def read_threads_with_deletions(
        self, _page: PageRef, post_ids: Sequence[int], _intake: Any
    ) -> dict[int, ParsedBatch]:
        """Record the threads that are read."""
        self.threads_left -= len(post_ids)
        if self.threads_left < 0:
            raise NoValidResponse("vk", "wall.getComments", "no response in time")
        self.read += post_ids
        return {post_id: ParsedBatch() for post_id in post_ids}


@dataclass
class FakeFeed:
    """An in-memory store of thread states."""

    states: dict[str, ThreadState] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    async def thread_states(self, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
        """Return the stored states."""
        return {key: self.states[key] for key in thread_keys if key in self.states}

    async def threads_with_other_count(self, _counts: Mapping[str, int]) -> dict[str, int]:
        """Return none: only the states are compared."""
        return {}

    async def store(self, _page: PageRef, _source: str, _parsed: ParsedBatch, **more: Any) -> StoreResult:
        """Store the states."""
        self.states |= {one.thread_key: one for one in more.get("thread_states", ())}
        return StoreResult()

    def report_failure(self, _page: PageRef, _source: str, error: str) -> None:
        """Record the error."""
        self.errors.append(error)


def _poller(wall: FakeWall, feed: FakeFeed, *, pushed: bool = True) -> WallPoller:
    reader: Any = wall
    intake: Any = feed
    token_pool: Any = None
    return WallPoller(reader, token_pool, intake, IngestSettings(**KEYS), lambda _page: pushed)


def _set_credit(poller: WallPoller, calls: float) -> None:
    poller._schedule.set_budget(1_000)
    poller._schedule._pace.spend(poller._schedule._pace.credit - calls)


@pytest.mark.parametrize("before", [0, 40, 100, 130, 199])
@pytest.mark.parametrize("quiet", [60, 100])
async def test_interrupted_first_poll_of_a_long_wall_resumes_without_loss(quiet: int, before: int) -> None:
    # Some or all posts of the first result page have no comments.
    counts = {post: 0 if 200 < post <= 200 + quiet else 3 for post in range(1, 301)}
    wall, feed = FakeWall(counts, threads_left=before), FakeFeed()
    with pytest.raises(NoValidResponse):
        await _poller(wall, feed).poll_page(PAGE)
    wall.threads_left = 1_000
    await _poller(wall, feed).poll_page(PAGE)
    assert sorted(wall.read) == [post for post, count in counts.items() if count]
    assert len(feed.states) == 300
    wall.offsets.clear()
    await _poller(wall, feed).poll_page(PAGE)
    assert wall.offsets == [0]


async def test_threads_that_push_reported_are_read_first() -> None:
    wall, feed = FakeWall(dict.fromkeys(range(1, 51), 2)), FakeFeed()
    feed.states = {f"vk:-101_{post}": ThreadState(f"vk:-101_{post}", None) for post in (30, 40)}
    await _poller(wall, feed).poll_page(PAGE)
    assert wall.read == [30, 40, *(post for post in range(1, 51) if post not in {30, 40})]


async def test_requested_deep_poll_is_repeated_after_a_failure() -> None:
    wall, feed = FakeWall(dict.fromkeys(range(1, 201), 0)), FakeFeed()
    poller = _poller(wall, feed)
    await poller._one(PAGE)
    wall.counts[1] = 1
    wall.offsets.clear()
    await poller._one(PAGE)
    assert (wall.offsets, wall.read) == ([0], [])
    _set_credit(poller, 1)
    poller.poll_soon(PAGE, deep=True)
    wall.threads_left = 0
    await poller._one(PAGE)
    assert wall.read == []
    wall.threads_left = 1
    await poller._one(PAGE)
    assert wall.read == [1]
    wall.offsets.clear()
    await poller._one(PAGE)
    assert wall.offsets == [0]


async def test_unexpected_error_of_a_poll_is_reported_and_delays_the_next() -> None:
    wall, feed = FakeWall({1: 1}, bug=KeyError("id")), FakeFeed()
    poller = _poller(wall, feed)
    for _ in range(6):
        await poller._one(PAGE)
    assert feed.errors == ["KeyError('id')"] * 6
    assert poller._not_before[PAGE.id] > clock.now().timestamp() + 10


@pytest.mark.parametrize(("pushed", "read"), [(True, []), (False, [3, 4, 5, 6, 7, 8, 9, 10])])
async def test_unchanged_recent_threads_are_read_only_without_push(pushed: bool, read: list[int]) -> None:
    wall, feed = FakeWall({post: 0 if post > 10 else 2 for post in range(1, 21)}), FakeFeed()
    poller = _poller(wall, feed, pushed=pushed)
    await poller.poll_page(PAGE)
    wall.read.clear()
    await poller.poll_page(PAGE)
    assert wall.read == read


async def test_requested_deep_poll_is_shallow_while_its_calls_would_be_borrowed() -> None:
    wall, feed = FakeWall(dict.fromkeys(range(1, 1_001), 0)), FakeFeed()
    poller = _poller(wall, feed)
    await poller._one(PAGE)
    wall.offsets.clear()
    _set_credit(poller, -100)
    poller.poll_soon(PAGE, deep=True)
    await poller._one(PAGE)
    assert wall.offsets == [0]
    wall.offsets.clear()
    _set_credit(poller, 1)
    await poller._one(PAGE)
    assert wall.offsets == list(range(0, 1_000, 100))
    wall.offsets.clear()
    await poller._one(PAGE)
    assert wall.offsets == [0]


async def test_unchanged_recent_threads_of_many_comments_are_not_read_at_every_poll() -> None:
    wall, feed = FakeWall({1: 100, 2: 101, 3: 5_000}), FakeFeed()
    poller = _poller(wall, feed, pushed=False)
    await poller.poll_page(PAGE)
    assert wall.read == [1, 2, 3]
    wall.read.clear()
    wall.counts[3] += 1
    await poller.poll_page(PAGE)
    assert wall.read == [1, 3]


@pytest.mark.parametrize(
    ("listed", "offset", "count", "expected"),
    [
        (100, 0, 250, (100, False)),
        (97, 100, 250, (197, False)),
        (53, 197, 250, (250, True)),
        (0, 100, 250, (200, False)),
        (0, 200, 250, (300, True)),
        (0, 0, 0, (100, True)),
        (100, 0, None, (100, False)),
        (99, 0, None, (99, True)),
    ],
)
def test_count_of_the_network_decides_which_response_is_the_last(
    listed: int, offset: int, count: int | None, expected: tuple[int, bool]
) -> None:
    assert next_offset({"count": count}, [{}] * listed, offset, POSTS_PER_CALL) == expected
