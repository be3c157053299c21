"""The outbox relay: numbers committed events, in one process at a time."""

import asyncio

from sqlalchemy import func, select, text, update

from shared import clock
from shared.audit.hash_chain import number_and_chain
from shared.database.outages import is_outage
from shared.database.sessions import Database, ReadOnlyServerError, WriteSession
from shared.events.consumer import AFTER_OUTAGE_SECONDS, log
from shared.events.listen_notify import (
    EVENTS_NUMBERED,
    EVENTS_WRITTEN,
    NotificationListener,
    wait_for_notification,
)
from shared.tables.common import Event, FeedEpoch

RELAY_ADVISORY_LOCK = 0x676F7370  # "gosp"

EPOCH_BITS = 32
_SERVER = text(
    """SELECT system_identifier, CASE WHEN NOT pg_is_in_recovery() THEN
        ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END
    FROM pg_control_system()"""
)


async def number_committed_events(database: Database, limit: int = 5_000) -> int:
    """Number committed events and audit rows in the order of writing. Return their number.

    Audit rows are chained in the same step. Return 0 if another relay holds the lock.
    """
    async with database.write() as session:
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(RELAY_ADVISORY_LOCK))):
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
            # The session holds none of the rows; synchronising would read all their ids.
            execution_options={"synchronize_session": False},
        )
        count: int = numbered.rowcount  # type: ignore[attr-defined]
        if count:
            await session.execute(select(func.pg_notify(EVENTS_NUMBERED, "")))
        return count + await number_and_chain(session)


async def _last_position(session: WriteSession) -> int:
    """Return the last position; after a failover, the one before the first of a new epoch.

    Consumers may have read positions of the lost server that are missing here, so these are not reused.
    """
    last = await session.scalar(select(func.coalesce(func.max(Event.position), 0))) or 0
    # A promotion or a restored backup starts a new timeline; the one in the checkpoint is updated only later.
    system, timeline = (await session.execute(_SERVER)).one()
    if timeline is None:
        raise ReadOnlyServerError("the server is a standby")
    server = f"{system}/{timeline}"
    last_epoch = await session.scalar(select(FeedEpoch).order_by(FeedEpoch.epoch.desc()).limit(1))
    if last_epoch is not None and last_epoch.server == server:
        return max(last, last_epoch.epoch << EPOCH_BITS)
    epoch = 0 if last_epoch is None else max(timeline, (last >> EPOCH_BITS) + 1)
    if last_epoch is not None:
        log.warning("event epoch changed", server=server, before=last_epoch.server, epoch=epoch)
    session.add(FeedEpoch(epoch=epoch, server=server, created_at=clock.now()))
    return max(last, epoch << EPOCH_BITS)


async def relay(database: Database, wakeups: NotificationListener) -> None:
    """Number events until cancelled. Every worker runs a relay; the lock allows one at a time."""
    async with wakeups.subscribe(EVENTS_WRITTEN) as notified:
        while True:
            await wait_for_notification(notified, seconds=1)
            try:
                while await number_committed_events(database):
                    pass
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("relay waiting for database", error=repr(error)[:300])
                await asyncio.sleep(AFTER_OUTAGE_SECONDS)
