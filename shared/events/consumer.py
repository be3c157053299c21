"""Consumers read numbered events after their offset, which is stored in the transaction of their changes."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import BigInteger, Select, bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.outages import is_application_error, is_timeout
from shared.database.sessions import Database, WriteSession
from shared.events.listen_notify import EVENTS_NUMBERED, NotificationListener, wait_for_notification
from shared.jobs import Jobs
from shared.logs import get_logger
from shared.supervision import Backoff
from shared.tables.base import ConsumerOffsetMixin
from shared.tables.common import Event

log = get_logger(__name__)

BATCH = 500

# How many failures of a single event are retried before it is dead-lettered. A timeout may come from a database
# that is slow although it responds to a ping, so more timeouts are allowed.
MAX_FAILURES = 5
MAX_TIMEOUTS = 20
AFTER_OUTAGE_SECONDS = 1
# Events of other types are skipped in memory; the offset in the database follows at the latest after this time.
STORE_SECONDS = 30.0
BACKOFF = Backoff(0.2, 30.0)

# Greater than any position, so no event is found after it.
_UNKNOWN = 2**63 - 1

Handler = Callable[[WriteSession, Sequence[Event]], Awaitable[None]]


async def read_after(
    session: AsyncSession,
    position: int,
    *,
    until: int | None = None,
    types: Sequence[str] | None = None,
    limit: int = BATCH,
) -> list[Event]:
    """Return numbered events after a position, up to `until`, in order, optionally only of `types`."""
    query = select(Event).where(Event.position > position).order_by(Event.position).limit(limit)
    if until is not None:
        query = query.where(Event.position <= until)
    if types is not None:
        query = query.where(Event.type.in_(types))
    return list(await session.scalars(query))


class _Progress:
    """A running consumer's view of its offset, by which it avoids transactions while there is no work."""

    def __init__(self) -> None:
        self.reached = _UNKNOWN
        self._stored = _UNKNOWN
        self._stored_at = 0.0

    @property
    def seconds_until_store(self) -> float:
        """Return in how many seconds the offset in the database must follow the events skipped in memory."""
        if self.reached == self._stored:
            return math.inf
        return max(self._stored_at + STORE_SECONDS - time.monotonic(), 0.0)

    def has_work(self, last: int, stored: int | None, *, is_wanted: bool) -> bool:
        """Return whether to process a batch: an event of the consumer's types is after `reached`, or the stored
        offset is too old or has gone back.

        Otherwise skip all events up to `last` in memory.
        """
        is_behind = self._stored != last and time.monotonic() - self._stored_at >= STORE_SECONDS
        # A promoted standby may have lost the last batch together with its offset.
        has_gone_back = stored is None or stored < self._stored
        if is_wanted or is_behind or has_gone_back:
            return True
        self.reached = last
        return False

    def stored(self, last: int) -> None:
        """Remember that the offset in the database is at least `last`."""
        self.reached = self._stored = last
        self._stored_at = time.monotonic()


@dataclass
class _Attempt:
    """The first event of the last batch that a consumer tried; None if it read no event."""

    event_id: UUID | None = None


@dataclass(frozen=True)
class Consumer:
    """Reads events in order, exactly once: the offset is stored in the transaction of the handler's changes.

    A failed batch is retried event by event, to find the failing one. An event that fails alone more than
    `MAX_FAILURES` times (in timeouts: `MAX_TIMEOUTS`) is dead-lettered: a job is enqueued in the transaction that
    advances the offset; the job is retried with backoff and then kept for a person, while the consumer goes on.
    Each worker counts for itself, and dead-letters only the event whose failures it counted. Errors before an
    event is read do not count. Without `jobs` the event is retried forever. Outages are not counted, and reset the
    count. `/health/ready` reports a failing consumer.
    """

    name: str
    offsets_table: type[ConsumerOffsetMixin]
    types: tuple[str, ...]
    handler: Handler
    jobs: Jobs | None = None

    @property
    def dead_letter_job(self) -> str:
        """Return the name of the job that handles a dead-lettered event."""
        return f"event:{self.name}"

    async def process_batch(self, database: Database, limit: int = BATCH, attempt: _Attempt | None = None) -> int:
        """Handle the next events in one transaction; return how many. Before, set the first event in `attempt`."""
        async with database.write() as session:
            events, reached = await self._next(session, limit)
            if events:
                if attempt is not None:
                    attempt.event_id = events[0].id
                await self.handler(session, events)
            await self._store(session, reached)
            return len(events)

    async def dead_letter_next(self, database: Database, event_id: UUID) -> None:
        """Dead-letter an event: enqueue a job for it and advance the offset.

        Do nothing if another event is the next one: another worker has dead-lettered or handled this one.
        """
        if (jobs := self.jobs) is None:
            return
        async with database.write() as session:
            events, reached = await self._next(session, 1)
            if [event.id for event in events] != [event_id]:
                return
            log.error("event dead-lettered", consumer=self.name, event_id=str(event_id), type=events[0].type)
            await jobs.enqueue(session, self.dead_letter_job, {"event_id": str(event_id)})
            await self._store(session, reached)

    async def handle_dead_letter(self, database: Database, event_id: UUID) -> None:
        """Handle a dead-lettered event; called by its job."""
        async with database.write() as session:
            await self.handler(session, [await session.get_one(Event, event_id)])

    async def _next(self, session: WriteSession, limit: int) -> tuple[list[Event], int | None]:
        """Lock the offset; return the next events, and the offset after them, None if it stays."""
        offsets = self.offsets_table
        # Read the last position before the events: later ones belong to the next batch.
        last_position = select(func.coalesce(func.max(Event.position), 0)).scalar_subquery()
        own_offset = select(offsets.position, last_position).where(offsets.consumer == self.name).with_for_update()
        found = (await session.execute(own_offset)).one_or_none()
        if found is None:
            await session.execute(upsert(offsets).values(consumer=self.name, position=0).on_conflict_do_nothing())
            found = (await session.execute(own_offset)).one()
        position, last = found
        # The last position is from before the wait for the lock: another worker may have read further.
        if last <= position:
            return [], None
        events = await read_after(session, position, until=last, types=self.types, limit=limit)
        return events, events[-1].position if len(events) == limit else last

    async def _store(self, session: WriteSession, reached: int | None) -> None:
        offsets = self.offsets_table
        if reached is not None:
            await session.execute(update(offsets).where(offsets.consumer == self.name).values(position=reached))

    def _work_query(self) -> Select[int, bool, int | None]:
        """Return the query for the arguments of `_Progress.has_work`, in one round trip."""
        offsets, reached = self.offsets_table, bindparam("reached", type_=BigInteger)
        return select(
            select(func.coalesce(func.max(Event.position), 0)).scalar_subquery().label("last"),
            exists().where(Event.position > reached, Event.type.in_(self.types)).label("wanted"),
            select(offsets.position).where(offsets.consumer == self.name).scalar_subquery().label("stored"),
        )

    async def run(
        self, database: Database, wakeups: NotificationListener, report: Callable[[str, str | None], None]
    ) -> None:
        """Handle events until cancelled; `report(name, error or None)` feeds the readiness check."""
        limit, failures, timeouts = BATCH, 0, 0
        # The event whose failures are counted.
        failing: UUID | None = None
        # Errors before an event was read, which only make the pauses longer.
        unread = 0
        progress, work_query = _Progress(), self._work_query()
        async with wakeups.subscribe(EVENTS_NUMBERED, self.types) as notified:
            while True:
                seconds = min(wakeups.longest_wait, progress.seconds_until_store)
                await wait_for_notification(notified, seconds)
                attempt = _Attempt()
                try:
                    if failing is not None and self._exhausted(failures, timeouts):
                        await self.dead_letter_next(database, failing)
                        failing, failures, timeouts = None, 0, 0
                    found = await database.execute_alone(work_query, {"reached": progress.reached})
                    if not progress.has_work(found.last, found.stored, is_wanted=found.wanted):
                        unread = 0
                        continue
                    # A batch that is not full is the last one: later events come with a notification of their own.
                    is_full = True
                    while is_full:
                        attempt = _Attempt()
                        is_full = await self.process_batch(database, limit, attempt) >= limit
                        # Report after each batch, because under load the loop rarely ends.
                        report(self.name, None)
                        failures = timeouts = unread = 0
                        limit = min(limit * 4, BATCH)
                    progress.stored(found.last)
                except Exception as error:  # reported and retried
                    report(self.name, repr(error))
                    notified.set()
                    progress = _Progress()
                    if not await is_application_error(error, database.ping):
                        log.warning("consumer waiting for database", consumer=self.name, error=repr(error)[:300])
                        failures = timeouts = unread = 0
                        await asyncio.sleep(AFTER_OUTAGE_SECONDS)
                        continue
                    log.exception("consumer failed", consumer=self.name, limit=limit)
                    if attempt.event_id is None:
                        unread += 1
                        await asyncio.sleep(BACKOFF.delay(unread))
                    elif limit == 1:
                        # With several workers another one may have dead-lettered the event that failed before.
                        if attempt.event_id != failing:
                            failing, failures, timeouts = attempt.event_id, 0, 0
                        failures, timeouts = failures + (not is_timeout(error)), timeouts + is_timeout(error)
                        # Do not pause if the event is dead-lettered next.
                        if not self._exhausted(failures, timeouts):
                            await asyncio.sleep(BACKOFF.delay(failures + timeouts))
                    limit = 1

    def _exhausted(self, failures: int, timeouts: int) -> bool:
        return self.jobs is not None and (failures > MAX_FAILURES or timeouts > MAX_TIMEOUTS)
