"""Run a check for many pages periodically, with limited concurrency, in one loop."""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from services.ingest.networks.calls import NoUsableToken
from services.ingest.networks.port import PageRef
from services.ingest.networks.retry import NO_TOKEN_DELAY, TRANSIENT_ERRORS, retry_delay
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

# How often the list of pages is reloaded, in seconds.
REFRESH_SECONDS = 1.0
NO_TOKEN_BACKOFF = Backoff(NO_TOKEN_DELAY, 120.0)


class PageScheduler:
    """Calls `check` for each of `pages`; `check` returns the seconds until the next check of the page.

    A failure is passed to `report_failure` and the page is retried with backoff; other pages are not affected.
    Intervals have jitter, so that pages added together do not stay synchronised.
    """

    def __init__(
        self,
        name: str,
        pages: Callable[[], Sequence[PageRef]],
        check: Callable[[PageRef], Awaitable[float]],
        report_failure: Callable[[PageRef, str], None],
        *,
        concurrency: int,
    ) -> None:
        self._name = name
        self._pages = pages
        self._check = check
        self._report_failure = report_failure
        self._concurrency = concurrency
        self._known: dict[UUID, PageRef] = {}
        self._refresh_at = 0.0
        self._due: dict[UUID, float] = {}
        self._queue: list[tuple[float, UUID]] = []
        self._failures: dict[UUID, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._in_progress: set[UUID] = set()
        self._again: set[UUID] = set()
        self._woken = asyncio.Event()

    def run_soon(self, page: PageRef) -> None:
        """Check this page now; if a check of it is running, check it again right after."""
        if page.id in self._in_progress:
            self._again.add(page.id)
        elif page.id in self._due:
            self._put(page.id, 0.0)
        self._woken.set()

    async def run(self) -> None:
        """Run checks until cancelled."""
        try:
            while True:
                self._woken.clear()
                delay = self._start_due()
                try:
                    async with asyncio.timeout(delay):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            self._in_progress.clear()
            self._due.clear()
            self._queue.clear()
            self._refresh_at = 0.0

    def _start_due(self) -> float:
        now = asyncio.get_running_loop().time()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            self._refresh_pages()
        while self._queue and len(self._running) < self._concurrency:
            due, page_id = self._queue[0]
            if self._due.get(page_id) != due:
                heapq.heappop(self._queue)  # outdated entry: the page was removed or rescheduled
                continue
            if due > now:
                return min(due - now, REFRESH_SECONDS)
            heapq.heappop(self._queue)
            del self._due[page_id]
            self._in_progress.add(page_id)
            task = asyncio.create_task(self._one(self._known[page_id]))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return REFRESH_SECONDS

    def _refresh_pages(self) -> None:
        self._known = {page.id: page for page in self._pages()}
        for page_id in self._due.keys() - self._known.keys():
            del self._due[page_id]
            self._failures.pop(page_id, None)
        for page_id in self._known.keys() - self._due.keys() - self._in_progress:
            self._put(page_id, 0.0)

    async def _one(self, page: PageRef) -> None:
        delay = 0.0
        try:
            delay = await self._check(page) * random.uniform(0.9, 1.0)  # noqa: S311 — no secret
            self._failures.pop(page.id, None)
        except TRANSIENT_ERRORS as error:
            delay = self._record_failure(page, error, str(error))
        except Exception as bug:  # a bug in the check of one page must not stop the others
            log.exception("poll failed", source_kind=self._name, page_id=str(page.id))
            delay = self._record_failure(page, bug, repr(bug))
        finally:
            self._in_progress.discard(page.id)
            if page.id in self._again:
                self._again.discard(page.id)
                delay = min(delay, 1.0)
            self._put(page.id, asyncio.get_running_loop().time() + delay)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Removed before the loop is woken: else the loop would still count the ended check, and start no other.
        self._running.discard(task)
        self._woken.set()

    def _record_failure(self, page: PageRef, error: Exception, reason: str) -> float:
        failures = self._failures[page.id] = self._failures.get(page.id, 0) + 1
        if isinstance(error, NoUsableToken):  # the page has a token, but the method is paused
            delay = NO_TOKEN_BACKOFF.delay(failures)
        else:
            delay = retry_delay(error, failures)
        log.warning(
            "poll failed", source_kind=self._name, page_id=str(page.id), error=reason[:300], retry_in_seconds=delay
        )
        self._report_failure(page, reason)
        return delay

    def _put(self, page_id: UUID, due: float) -> None:
        self._due[page_id] = due
        heapq.heappush(self._queue, (due, page_id))
