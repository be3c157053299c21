"""The page scheduler: intervals, concurrency and backoff per page."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.ingest.networks import page_scheduler
from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.page_scheduler import PageScheduler
from services.ingest.networks.port import PageRef
from tests.support.eventually import HANG_SECONDS


def page(number: int) -> PageRef:
    """Return a page of the schedule."""
    return PageRef(
        id=UUID(int=number),
        organisation_id=UUID(int=0),
        network="vk",
        external_id=str(number),
        go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class FakePolls:
    """Counts the checks of each page and the maximum of concurrent checks."""

    def __init__(self, pages: list[PageRef], rest: float = 60.0) -> None:
        self.pages = pages
        self.rest = rest
        self.count: Counter[str] = Counter()
        self.at_once = 0
        self.most = 0
        self.failures: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    async def look(self, one: PageRef) -> float:
        """Check a page for a moment; return the pause until its next check."""
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        self.count[one.external_id] += 1
        if one.external_id in self.broken:
            raise NoValidResponse("vk", "look", "no answer in time")
        return self.rest

    def scheduler(self, concurrency: int) -> PageScheduler:
        """Return a scheduler of these pages."""
        return PageScheduler(
            "look",
            lambda: self.pages,
            self.look,
            lambda one, error: self.failures.append((one.external_id, error)),
            concurrency=concurrency,
        )


async def until(looks: FakePolls, seen: int) -> None:
    """Wait until this many checks were made."""
    async with asyncio.timeout(HANG_SECONDS):
        while looks.count.total() < seen:
            await asyncio.sleep(0.005)


async def test_all_pages_are_checked_with_limited_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    # The end of a check starts the next one, not the next reading of the list of pages.
    monkeypatch.setattr(page_scheduler, "REFRESH_SECONDS", 1_000.0)
    looks = FakePolls([page(number) for number in range(40)])
    task = asyncio.create_task(looks.scheduler(3).run())
    await until(looks, 40)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(looks.count.values()) == {1}
    assert looks.most == 3


async def test_requested_page_is_checked_at_once_and_a_failing_page_backs_off() -> None:
    looks = FakePolls([page(1), page(2)])
    looks.broken = {"2"}
    scheduler = looks.scheduler(2)
    task = asyncio.create_task(scheduler.run())
    await until(looks, 2)
    scheduler.run_soon(page(1))
    await until(looks, 3)
    assert looks.count["1"] == 2
    assert looks.failures[0][0] == "2"
    assert "no answer" in looks.failures[0][1]
    looks.pages = [page(1), page(3)]
    async with asyncio.timeout(HANG_SECONDS):
        while not looks.count["3"]:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_request_during_check_runs_one_more_check() -> None:
    looks = FakePolls([page(1)])
    scheduler = looks.scheduler(1)
    task = asyncio.create_task(scheduler.run())
    async with asyncio.timeout(HANG_SECONDS):
        while not looks.at_once:
            await asyncio.sleep(0)
    scheduler.run_soon(page(1))
    await until(looks, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert looks.count["1"] == 2
