"""The relay: numbers committed events, one process at a time."""

import asyncio

from sqlalchemy import func, select, text, update

from shared import clock
from shared.audit.hash_chain import number_and_chain
from shared.database.outages import is_outage
from shared.database.sessions import Database, ReadOnlyServer, WriteSession
from shared.events.consumer import AFTER_OUTAGE_SECONDS, log
from shared.events.listen_notify import EVENTS, OUTBOX, WakeUps, wait
from shared.tables.common import Event, FeedEpoch

RELAY_LOCK = 0x676F7370  # "gosp"

EPOCH_BITS = 32
_SERVER = text(
    """SELECT system_identifier, CASE WHEN NOT pg_is_in_recovery() THEN
        ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END
    FROM pg_control_system()"""
)


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
