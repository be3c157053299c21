"""Consumers: read numbered events after their position, and keep it in the transaction of what they did."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.outages import is_fault, is_timeout
from shared.database.sessions import Database, WriteSession
from shared.events.listen_notify import EVENTS, WakeUps, wait
from shared.jobs import Jobs
from shared.logs import logger
from shared.supervision import Backoff
from shared.tables.base import CursorMixin
from shared.tables.common import Event

log = logger(__name__)

BATCH = 500

# Failures of one event alone before it is dead-lettered. A timeout may be the database's, which answers a ping and
# is slow all the same: twenty of 30 seconds each are half an hour.
PATIENCE = 5
PATIENCE_WITH_TIMEOUTS = 20
AFTER_OUTAGE_SECONDS = 1
BACKOFF = Backoff(0.2, 30.0)

Handler = Callable[[WriteSession, Sequence[Event]], Awaitable[None]]


async def read_after(
    session: AsyncSession,
    position: int,
    *,
    upto: int | None = None,
    types: Sequence[str] | None = None,
    limit: int = BATCH,
) -> list[Event]:
    """Numbered events after a position (and not beyond `upto`), in order; `types` keeps only these."""
    query = select(Event).where(Event.position > position).order_by(Event.position).limit(limit)
    if upto is not None:
        query = query.where(Event.position <= upto)
    if types is not None:
        query = query.where(Event.type.in_(types))
    return list(await session.scalars(query))


@dataclass(frozen=True)
class Consumer:
    """Reads events in order, exactly once: the cursor moves in the transaction of the handler's work.

    A batch that raises is tried again one by one, so that one bad event cannot hide behind others. An event that
    fails `PATIENCE` times alone, and once more, is handed to `jobs` in the transaction that steps over it: there
    it is tried with back-off and then held for a person, while the others go on. Without `jobs` it is tried for
    ever. An outage counts nothing, and the count begins anew after it. Meanwhile `/health/ready` says so.
    """

    name: str
    cursors: type[CursorMixin]
    types: tuple[str, ...]
    handler: Handler
    jobs: Jobs | None = None

    @property
    def job(self) -> str:
        """Name of the job that handles one event which was stepped over."""
        return f"event:{self.name}"

    async def step(self, database: Database, limit: int = BATCH) -> int:
        """Handle the next events in one transaction; returns how many events were handled."""
        async with database.write() as session:
            return await self._advance(session, limit, self.handler)

    async def step_over(self, database: Database) -> None:
        """Hand the next event to the jobs and go on without it."""
        if (jobs := self.jobs) is None:
            return

        async def park(session: WriteSession, events: Sequence[Event]) -> None:
            for event in events:
                log.error("event stepped over", consumer=self.name, event_id=str(event.id), type=event.type)
                await jobs.enqueue(session, self.job, {"event_id": str(event.id)})

        async with database.write() as session:
            await self._advance(session, 1, park)

    async def handle_one(self, database: Database, event_id: UUID) -> None:
        """Handle an event that was stepped over; the work of its job."""
        async with database.write() as session:
            await self.handler(session, [await session.get_one(Event, event_id)])

    async def _advance(self, session: WriteSession, limit: int, handler: Handler) -> int:
        cursors = self.cursors
        await session.execute(upsert(cursors).values(consumer=self.name, position=0).on_conflict_do_nothing())
        position = await session.scalar(
            select(cursors.position).where(cursors.consumer == self.name).with_for_update()
        )
        # The last position is read before the events: those after it belong to the next step.
        last = await session.scalar(select(func.coalesce(func.max(Event.position), 0)))
        if last == position:
            return 0
        events = await read_after(session, position or 0, upto=last, types=self.types, limit=limit)
        if events:
            await handler(session, events)
        reached = events[-1].position if len(events) == limit else last
        await session.execute(update(cursors).where(cursors.consumer == self.name).values(position=reached))
        return len(events)

    async def run(self, database: Database, wakeups: WakeUps, report: Callable[[str, str | None], None]) -> None:
        """Handle events for ever; `report(name, error or None)` feeds the readiness check."""
        limit, failures, timeouts = BATCH, 0, 0
        async with wakeups.subscribed(EVENTS) as woken:
            while True:
                await wait(woken, seconds=2)
                try:
                    if self._exhausted(failures, timeouts):
                        await self.step_over(database)
                        failures = timeouts = 0
                    handled = 1
                    while handled:
                        handled = await self.step(database, limit)
                        # After each step: under load the end of the events is seldom reached.
                        report(self.name, None)
                        failures = timeouts = 0
                        limit = min(limit * 4, BATCH)
                except Exception as error:  # kept, reported, tried again
                    report(self.name, repr(error))
                    woken.set()
                    if not await is_fault(error, database.ping):
                        log.warning("consumer waits", consumer=self.name, error=repr(error)[:300])
                        failures = timeouts = 0
                        await asyncio.sleep(AFTER_OUTAGE_SECONDS)
                        continue
                    log.exception("consumer failed", consumer=self.name, limit=limit)
                    if limit == 1:
                        failures, timeouts = failures + (not is_timeout(error)), timeouts + is_timeout(error)
                        # No pause before the dead letter: the last failure is of this moment.
                        if not self._exhausted(failures, timeouts):
                            await asyncio.sleep(BACKOFF.delay(failures + timeouts))
                    limit = 1

    def _exhausted(self, failures: int, timeouts: int) -> bool:
        return self.jobs is not None and (failures > PATIENCE or timeouts > PATIENCE_WITH_TIMEOUTS)
