"""One loop over many pages instead of a loop for each: every page in its time, few at once."""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from services.ingest.networks.calls import NoUsableToken
from services.ingest.networks.port import PageRef
from services.ingest.networks.retry import TRANSIENT_ERRORS, retry_delay
from shared.logs import logger

log = logger(__name__)

# How soon new pages are noticed, in seconds.
REFRESH_SECONDS = 1.0
MAX_DELAY_WITHOUT_TOKEN = 120.0


class PageScheduler:
    """Calls `look` for each of `pages`; it answers in how many seconds to look again.

    A page that fails is told to `failed` and rests, longer each time; the others go on. Intervals are spread, so
    that pages that came together do not stay together.
    """

    def __init__(
        self,
        name: str,
        pages: Callable[[], Sequence[PageRef]],
        look: Callable[[PageRef], Awaitable[float]],
        failed: Callable[[PageRef, str], None],
        *,
        at_once: int,
    ) -> None:
        self._name = name
        self._pages = pages
        self._look = look
        self._failed = failed
        self._at_once = at_once
        self._known: dict[UUID, PageRef] = {}
        self._notice_at = 0.0
        self._due: dict[UUID, float] = {}
        self._queue: list[tuple[float, UUID]] = []
        self._failures: dict[UUID, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._out: set[UUID] = set()
        self._again: set[UUID] = set()
        self._woken = asyncio.Event()

    def ask(self, page: PageRef) -> None:
        """Look at this page now; if it is being looked at, once more right after."""
        if page.id in self._out:
            self._again.add(page.id)
        elif page.id in self._due:
            self._put(page.id, 0.0)
        self._woken.set()

    async def run(self) -> None:
        """Look for ever."""
        try:
            while True:
                self._woken.clear()
                rest = self._start_due()
                try:
                    async with asyncio.timeout(rest):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            self._out.clear()
            self._due.clear()
            self._queue.clear()
            self._notice_at = 0.0

    def _start_due(self) -> float:
        now = asyncio.get_running_loop().time()
        if now >= self._notice_at:
            self._notice_at = now + REFRESH_SECONDS
            self._align()
        while self._queue and len(self._running) < self._at_once:
            due, page_id = self._queue[0]
            if self._due.get(page_id) != due:
                heapq.heappop(self._queue)  # gone, or put elsewhere since
                continue
            if due > now:
                return min(due - now, REFRESH_SECONDS)
            heapq.heappop(self._queue)
            del self._due[page_id]
            self._out.add(page_id)
            task = asyncio.create_task(self._one(self._known[page_id]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return REFRESH_SECONDS

    def _align(self) -> None:
        self._known = {page.id: page for page in self._pages()}
        for page_id in self._due.keys() - self._known.keys():
            del self._due[page_id]
            self._failures.pop(page_id, None)
        for page_id in self._known.keys() - self._due.keys() - self._out:
            self._put(page_id, 0.0)

    async def _one(self, page: PageRef) -> None:
        rest = 0.0
        try:
            rest = await self._look(page) * random.uniform(0.9, 1.0)  # noqa: S311 — no secret
            self._failures.pop(page.id, None)
        except TRANSIENT_ERRORS as error:
            rest = self._trouble(page, error, str(error))
        except Exception as bug:  # a bug about one page must not end the others
            log.exception("a look failed", way=self._name, page_id=str(page.id))
            rest = self._trouble(page, bug, repr(bug))
        finally:
            self._out.discard(page.id)
            if page.id in self._again:
                self._again.discard(page.id)
                rest = min(rest, 1.0)
            self._put(page.id, asyncio.get_running_loop().time() + rest)
            self._woken.set()

    def _trouble(self, page: PageRef, error: Exception, words: str) -> float:
        failures = self._failures[page.id] = self._failures.get(page.id, 0) + 1
        rest = retry_delay(error, failures)
        if isinstance(error, NoUsableToken):  # the page has a token, but it rests for this method
            rest = min(rest * 2.0 ** min(failures - 1, 10), MAX_DELAY_WITHOUT_TOKEN)
        log.warning("a look failed", way=self._name, page_id=str(page.id), error=words[:300], rest=rest)
        self._failed(page, words)
        return rest

    def _put(self, page_id: UUID, due: float) -> None:
        self._due[page_id] = due
        heapq.heappush(self._queue, (due, page_id))
