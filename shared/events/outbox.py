"""The outbox: every change that others care about, numbered after commit, read by position.

A writer inserts with `position` null, in the transaction of the change, after it locked or wrote the row of the
subject. The insert takes the next number of a sequence, so the events of one subject stand in the order in which
their transactions held its lock, whatever the machines' clocks say. The relay, one at a time under an advisory
lock, numbers committed rows in that order, without gaps on one server. A reader asks for `position > cursor` and
moves its cursor in the transaction of what it did. A sequence, a time or a UUIDv7 given before commit would let a
reader step over rows that commit late; a number given after commit cannot.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from shared import clock
from shared.audit.hash_chain import number_and_chain
from shared.database.bulk_insert import insert_rows
from shared.database.outages import is_fault, is_outage, is_timeout
from shared.database.sessions import Database, ReadOnlyServer, WriteSession
from shared.events.listen_notify import EVENTS, OUTBOX, WakeUps, wait
from shared.ids import new_id
from shared.jobs import Jobs
from shared.logs import logger
from shared.tables.common import CursorMixin, Event, FeedEpoch

log = logger(__name__)

RELAY_LOCK = 0x676F7370  # "gosp"
BATCH = 500
EPOCH_BITS = 32
_SERVER = text(
    """SELECT system_identifier, CASE WHEN NOT pg_is_in_recovery() THEN
        ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END
    FROM pg_control_system()"""
)

# Failures of one event alone before it is dead-lettered. A timeout may be the database's, which answers a ping and
# is slow all the same: twenty of 30 seconds each are half an hour.
PATIENCE = 5
PATIENCE_WITH_TIMEOUTS = 20
AFTER_OUTAGE_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event about to be written. `type` is `<subject>.<what happened>`."""

    type: str
    subject_id: UUID
    organisation_id: UUID | None
    actor: str
    data: dict[str, Any] = field(default_factory=dict)
    occurred_at: datetime = field(default_factory=clock.now)


async def emit(session: WriteSession, *events: NewEvent) -> None:
    """Write events in the session's transaction; the relay wakes when it commits.

    The subject's row is locked or written before; what the session has still to write is written here.
    """
    if not events:
        return
    await session.flush()
    created_at = clock.now()
    await insert_rows(
        session,
        Event,
        [
            {
                "id": new_id(),
                "type": event.type,
                "subject_id": event.subject_id,
                "organisation_id": event.organisation_id,
                "actor": event.actor,
                "occurred_at": event.occurred_at,
                "created_at": created_at,
                "data": event.data,
            }
            for event in events
        ],
    )
    if not session.info.get("outbox_rung"):
        await session.execute(select(func.pg_notify(OUTBOX, "")))
        session.info["outbox_rung"] = True


async def number_committed(database: Database, limit: int = 5_000) -> int:
    """Give the next positions to committed events and audit rows, in the order of writing; returns how many.

    Audit rows are chained in the same step. Returns 0 when another relay holds the lock.
    """
    async with database.write() as session:
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(RELAY_LOCK))):
            return 0
        last = await _last_position(session)
        order = (Event.write_order.nulls_first(), Event.created_at, Event.id)
        waiting = (
            select(Event.id, func.row_number().over(order_by=order).label("nth"))
            .where(Event.position.is_(None))
            .order_by(*order)
            .limit(limit)
            .subquery()
        )
        numbered = await session.execute(
            update(Event).where(Event.id == waiting.c.id).values(position=last + waiting.c.nth),
            # Nothing of them is held here; finding out would read all their ids.
            execution_options={"synchronize_session": False},
        )
        count: int = numbered.rowcount  # type: ignore[attr-defined]
        if count:
            await session.execute(select(func.pg_notify(EVENTS, "")))
        return count + await number_and_chain(session)


async def _last_position(session: WriteSession) -> int:
    """The last position given; after a failover to another server, the one before the first of a new epoch.

    What the lost server numbered last may be missing here and known outside: those positions are not given again.
    """
    last = await session.scalar(select(func.coalesce(func.max(Event.position), 0))) or 0
    # A promotion or a restored backup begins a timeline; the checkpoint's own is told only after a while.
    system, timeline = (await session.execute(_SERVER)).one()
    if timeline is None:
        raise ReadOnlyServer("the server is a standby")
    server = f"{system}/{timeline}"
    known = await session.scalar(select(FeedEpoch).order_by(FeedEpoch.epoch.desc()).limit(1))
    if known is not None and known.server == server:
        return max(last, known.epoch << EPOCH_BITS)
    epoch = 0 if known is None else max(timeline, (last >> EPOCH_BITS) + 1)
    if known is not None:
        log.warning("another server numbers the events", server=server, before=known.server, epoch=epoch)
    session.add(FeedEpoch(epoch=epoch, server=server, created_at=clock.now()))
    return max(last, epoch << EPOCH_BITS)


async def relay(database: Database, wakeups: WakeUps) -> None:
    """Number events for ever. Every worker runs one; the lock lets one at a time through."""
    async with wakeups.subscribed(OUTBOX) as woken:
        while True:
            await wait(woken, seconds=1)
            try:
                while await number_committed(database):
                    pass
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("the relay waits for the database", error=repr(error)[:300])
                await asyncio.sleep(AFTER_OUTAGE_SECONDS)


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
                            await asyncio.sleep(min(0.1 * 2 ** (failures + timeouts), 30))
                    limit = 1

    def _exhausted(self, failures: int, timeouts: int) -> bool:
        return self.jobs is not None and (failures > PATIENCE or timeouts > PATIENCE_WITH_TIMEOUTS)
