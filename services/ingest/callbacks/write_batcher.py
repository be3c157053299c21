"""Batch writes of pushed events: events that arrive during a transaction go into the next one."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from prometheus_client import Gauge

from services.ingest.networks import catalogue
from services.ingest.networks.port import PageRef, ParsedBatch, ThreadState
from services.ingest.networks.retry import TRANSIENT_ERRORS
from shared.logs import get_logger

log = get_logger(__name__)

SOURCE = "callback"
MAX_BATCH = 200
# Shorter than the time in which each network gets a response (`PushSpec.answer_seconds`).
STORE_TIMEOUT = 4.0

QUEUED_EVENTS = Gauge("gospablik_callback_events_queued", "Pushed events that wait to be stored")


class PushStore(Protocol):
    """The methods of the intake store used here."""

    async def store_many(self, arrivals: list[tuple[PageRef, str, ParsedBatch]]) -> object:
        """Store batches of many pages in one transaction."""

    async def store(
        self, page: PageRef, source: str, parsed: ParsedBatch, *, thread_states: Sequence[ThreadState]
    ) -> object:
        """Store a batch and thread states."""

    async def invalidate_threads(self, thread_keys: list[str]) -> None:
        """Clear the markers of threads so that they are read again."""


class EventNotStored(Exception):  # noqa: N818 — an outcome
    """The event was not stored; the network has to deliver it again."""


@dataclass(eq=False, slots=True)
class _Waiting:
    page: PageRef
    parsed: ParsedBatch
    done: "asyncio.Future[None]"


class WriteBatcher:
    """Stores events in batches. `on_committed` receives the page ids of each committed batch.

    At most `backlog` events wait, and at most `page_backlog` of one page, so that a busy page delays only itself.
    """

    def __init__(
        self,
        intake: PushStore,
        on_committed: Callable[[set[UUID]], Awaitable[None]],
        *,
        backlog: int,
        page_backlog: int | None = None,
    ) -> None:
        self._intake = intake
        self._stored = on_committed
        self._backlog = backlog
        self._of_one_page = backlog if page_backlog is None else page_backlog
        self._queue: deque[_Waiting] = deque()
        self._waiting: Counter[UUID] = Counter()
        self._task: asyncio.Task[None] | None = None

    async def store(self, page: PageRef, parsed: ParsedBatch) -> None:
        """Store an event; return once it is committed.

        Raises `EventNotStored` if too many events wait or the database is unavailable.
        """
        if len(self._queue) >= self._backlog:
            raise EventNotStored("too many events wait to be stored")
        if self._waiting[page.id] >= self._of_one_page:
            raise EventNotStored("too many events of this page wait to be stored")
        self._waiting[page.id] += 1
        one = _Waiting(page, parsed, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        QUEUED_EVENTS.set(len(self._queue))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="callbacks")
        try:
            await one.done
        finally:
            self._waiting[page.id] -= 1
            if not self._waiting[page.id]:
                del self._waiting[page.id]
            if one in self._queue:  # the time for the response is over: the network will deliver the event again
                self._queue.remove(one)

    async def _drain(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
            QUEUED_EVENTS.set(len(self._queue))
            try:
                async with asyncio.timeout(STORE_TIMEOUT):
                    await self._write(batch)
            except TRANSIENT_ERRORS as error:
                log.warning("pushed events could not be stored", event_count=len(batch), error=repr(error)[:300])
                _end(batch, EventNotStored("the database is unavailable"))
            except Exception as bug:  # the waiting requests must get a response
                log.exception("pushed events could not be stored", event_count=len(batch))
                _end(batch, bug)
            else:
                _end(batch, None)

    async def _write(self, batch: list[_Waiting]) -> None:
        pages: dict[UUID, PageRef] = {}
        parsed: dict[UUID, ParsedBatch] = {}
        for one in batch:
            pages[one.page.id] = one.page
            parsed.setdefault(one.page.id, ParsedBatch()).extend(one.parsed)
        arrivals = [(pages[page_id], SOURCE, parsed[page_id]) for page_id in sorted(pages)]
        await self._intake.store_many(arrivals)
        changed: list[str] = []
        for page_id, came in parsed.items():
            push = catalogue.push_spec(pages[page_id].network)
            if push is None:
                continue
            if found := push.thread_states(came):
                await self._intake.store(pages[page_id], SOURCE, ParsedBatch(), thread_states=found)
            changed += push.threads_to_reread(came)
        # Some events only announce a change, so the thread has to be read again. Repeated events count too: the
        # first delivery may have failed between the two transactions.
        if changed:
            await self._intake.invalidate_threads(sorted(changed))
        await self._stored(set(pages))


def _end(batch: list[_Waiting], error: Exception | None) -> None:
    for one in batch:
        if one.done.done():
            continue
        if error is None:
            one.done.set_result(None)
        else:
            one.done.set_exception(error)
