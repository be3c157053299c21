"""Run long tasks that are stored as rows, a few at a time; each resumes after an interruption."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from services.ingest.networks.port import NetworkAdapter, PageRef, ScanStep
from services.ingest.networks.retry import TRANSIENT_ERRORS, run_periodically
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

POLL_SECONDS = 2.0
FIRST_DELAY = 5.0
MAX_DELAY = 600.0


class RowSuperseded(Exception):  # noqa: N818 — an outcome
    """Another process has finished, cancelled or continued the row; the transaction is rolled back."""


@asynccontextmanager
async def closing_scan(
    network: NetworkAdapter, page: PageRef, since: datetime, cursor: Mapping[str, Any]
) -> AsyncIterator[AsyncIterator[ScanStep]]:
    """Yield a scan's iterator and close it when the context ends."""
    steps = network.scan(page, since, cursor)
    try:
        yield steps
    finally:
        if isinstance(steps, AsyncGenerator):
            await steps.aclose()


class ResumableRunner:
    """Processes rows: `list_pending` returns the ids of unfinished rows in order, `process` processes one row.

    If `process` raises, `record_delay` saves the reason and the row is retried with backoff. Progress of a row
    restarts its backoff. Other rows are not affected.
    """

    def __init__(
        self,
        name: str,
        *,
        concurrency: int,
        list_pending: Callable[[], Awaitable[Sequence[UUID]]],
        process: Callable[[UUID], Awaitable[None]],
        record_delay: Callable[[UUID, str], Awaitable[None]],
    ) -> None:
        self._name = name
        self._at_once = concurrency
        self._list_pending = list_pending
        self._process = process
        self._record_delay = record_delay
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._failures: dict[UUID, int] = {}
        self._not_before: dict[UUID, float] = {}

    def record_progress(self, row_id: UUID) -> None:
        """Record progress of a row: its backoff restarts from the first delay."""
        self._failures.pop(row_id, None)

    async def run(self) -> None:
        """Process rows until cancelled; retry while the database is unavailable."""
        try:
            await run_periodically(self._name, self._round)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()

    async def _round(self) -> float:
        await self._start()
        if not self._tasks:
            return POLL_SECONDS
        await asyncio.wait(self._tasks.values(), timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for row_id in [row_id for row_id, task in self._tasks.items() if task.done()]:
            del self._tasks[row_id]
        return 0

    async def _start(self) -> None:
        if len(self._tasks) >= self._at_once:
            return
        now = asyncio.get_running_loop().time()
        list_pending = await self._list_pending()
        for known in (self._failures, self._not_before):
            for row_id in known.keys() - set(list_pending):
                del known[row_id]
        for row_id in list_pending:
            if len(self._tasks) >= self._at_once:
                return
            if row_id not in self._tasks and self._not_before.get(row_id, 0.0) <= now:
                self._tasks[row_id] = asyncio.create_task(self._one(row_id), name=f"{self._name}:{row_id}")

    async def _one(self, row_id: UUID) -> None:
        try:
            await self._process(row_id)
        except RowSuperseded:
            log.info("row was finished, cancelled or continued elsewhere", runner=self._name, row_id=str(row_id))
        except TRANSIENT_ERRORS as error:
            await self._later(row_id, str(error) or repr(error))
        except Exception as bug:  # a bug that affects one row must not stop the others
            log.exception("row processing crashed", runner=self._name, row_id=str(row_id))
            await self._later(row_id, repr(bug))

    async def _later(self, row_id: UUID, why: str) -> None:
        failures = self._failures[row_id] = self._failures.get(row_id, 0) + 1
        delay = Backoff(FIRST_DELAY, MAX_DELAY).delay(failures)
        self._not_before[row_id] = asyncio.get_running_loop().time() + delay
        log.warning("row delayed", runner=self._name, row_id=str(row_id), error=why[:300], retry_in_seconds=delay)
        try:
            await self._record_delay(row_id, why[:500])
        except TRANSIENT_ERRORS as error:
            log.warning("delay reason not stored", runner=self._name, error=repr(error)[:300])
