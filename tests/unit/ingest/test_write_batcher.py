"""Pushed events are stored in batches, and each caller gets the result of its own batch."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.callbacks.write_batcher import EventNotStored, WriteBatcher
from services.ingest.networks.port import PageRef, ParsedBatch
from services.ingest.networks.vk.push import vk_push


def page(number: int) -> PageRef:
    """Return the page that events belong to."""
    return PageRef(
        id=UUID(int=number),
        organisation_id=UUID(int=0),
        network="vk",
        external_id=str(number),
        go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def comment(group: int, number: int, kind: str = "wall_reply_new", **more: Any) -> ParsedBatch:
    """Return the parsed event of a comment."""
    content = {"id": number, "from_id": 7, "date": 1767225600, "text": "Текст", "post_id": 12}
    return vk_push.parse_events([{"type": kind, "group_id": group, "object": content | more}], page(group))


class FakeStore:
    """A store that needs a moment for each batch and can be unavailable."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[PageRef, str, ParsedBatch]]] = []
        self.marked: list[str] = []
        self.forgotten: list[str] = []
        self.notified: list[set[UUID]] = []
        self.away: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()

    async def store_many(self, arrivals: list[tuple[PageRef, str, ParsedBatch]]) -> object:
        """Store a batch, or raise the configured error."""
        await asyncio.sleep(0)
        await self.free.wait()
        if self.away is not None:
            raise self.away
        self.batches.append(arrivals)
        return None

    async def store(
        self, _page: PageRef, _way: str, _parsed: ParsedBatch, *, thread_states: Sequence[Any]
    ) -> object:
        """Record the keys of the marked threads."""
        self.marked += [mark.thread_key for mark in thread_states]
        return None

    async def invalidate_threads(self, thread_keys: list[str]) -> None:
        """Record the threads to be read again."""
        self.forgotten += thread_keys

    async def stored(self, pages: set[UUID]) -> None:
        """Record the pages of a stored batch."""
        self.notified.append(pages)


async def test_concurrent_events_are_stored_in_one_batch() -> None:
    store = FakeStore()
    batches = WriteBatcher(store, store.stored, backlog=1_000)
    await asyncio.gather(*(batches.store(page(n % 3 + 1), comment(n % 3 + 1, n)) for n in range(1, 121)))
    assert sum(len(parsed.items) for batch in store.batches for _, _, parsed in batch) == 120
    assert len(store.batches) <= 2
    assert all(len(batch) <= 3 for batch in store.batches)
    assert set().union(*store.notified) == {UUID(int=n) for n in (1, 2, 3)}


async def test_announced_change_invalidates_thread() -> None:
    store = FakeStore()
    batches = WriteBatcher(store, store.stored, backlog=10)
    await batches.store(page(1), comment(1, 5, "wall_reply_edit"))
    await batches.store(page(1), comment(1, 6))
    assert store.forgotten == ["vk:-1_12"]


async def test_suggested_post_is_marked() -> None:
    store = FakeStore()
    batches = WriteBatcher(store, store.stored, backlog=10)
    await batches.store(page(1), comment(1, 5, "wall_post_new", post_type="suggest"))
    assert store.marked == ["vk:-1_5"]


@pytest.mark.parametrize("error", [OSError("away"), TimeoutError(), ZeroDivisionError("a bug")])
async def test_failed_batch_raises_its_error_for_all_waiting_callers(error: Exception) -> None:
    store = FakeStore()
    store.away = error
    batches = WriteBatcher(store, store.stored, backlog=10)
    results = await asyncio.gather(
        *(batches.store(page(1), comment(1, n)) for n in range(1, 4)), return_exceptions=True
    )
    expected = type(error) if isinstance(error, ZeroDivisionError) else EventNotStored
    assert {type(one) for one in results} == {expected}
    store.away = None
    await batches.store(page(1), comment(1, 9))
    assert len(store.batches) == 1


async def test_cancelled_request_is_removed_from_the_queue() -> None:
    store = FakeStore()
    batches = WriteBatcher(store, store.stored, backlog=2)
    store.free.clear()
    first = asyncio.create_task(batches.store(page(1), comment(1, 1)))
    for _ in range(5):
        await asyncio.sleep(0)
    gone = asyncio.create_task(batches.store(page(1), comment(1, 2)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    store.free.set()
    await first
    await batches.store(page(1), comment(1, 3))
    stored = [item.external_id for batch in store.batches for _, _, parsed in batch for item in parsed.items]
    assert stored == ["-1_1", "-1_3"]


async def test_events_beyond_backlog_are_rejected() -> None:
    store = FakeStore()
    batches = WriteBatcher(store, store.stored, backlog=2)
    results = await asyncio.gather(
        *(batches.store(page(1), comment(1, n)) for n in range(1, 6)), return_exceptions=True
    )
    assert [type(one) for one in results].count(EventNotStored) == 3


async def test_busy_page_does_not_delay_others() -> None:
    store = FakeStore()
    store.free.clear()
    batches = WriteBatcher(store, store.stored, backlog=100, page_backlog=3)
    flood = [asyncio.create_task(batches.store(page(1), comment(1, n))) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(EventNotStored):
        await batches.store(page(1), comment(1, 9))
    other = asyncio.create_task(batches.store(page(2), comment(2, 1)))
    await asyncio.sleep(0)
    store.free.set()
    await asyncio.gather(*flood, other)
    await batches.store(page(1), comment(1, 10))
