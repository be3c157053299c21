"""The outbox relay: numbers committed events, in one process at a time."""

import asyncio
from typing import Any

from sqlalchemy import BigInteger, Integer, Row, bindparam, func, select, text, update

from shared import clock
from shared.audit.hash_chain import number_and_chain
from shared.database.outages import is_outage
from shared.database.sessions import Database, ReadOnlyServerError, WriteSession
from shared.events.consumer import AFTER_OUTAGE_SECONDS, log
from shared.events.listen_notify import (
    EVENTS_NUMBERED,
    EVENTS_WRITTEN,
    OUTBOX_WAITS,
    NotificationListener,
    wait_for_notification,
)
from shared.tables.common import Event, FeedEpoch

RELAY_ADVISORY_LOCK = 0x676F7370  # "gosp"

# An epoch after the first is numbered by its minute since 1970. With this many bits for its events, positions stay
# below 2**53 until 2097: JavaScript and others round greater ones. An epoch with more events uses the numbers of
# later epochs.
EPOCH_BITS = 27
_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)").bindparams(lock=RELAY_ADVISORY_LOCK)
# The timeline changes after a promotion or a recovery; the table's OID changes if a dump is restored into the same
# server. The timeline is read from the WAL, since the checkpoint shows it later.
_OUTBOX = text(
    """SELECT coalesce((SELECT max(position) FROM events), 0) AS last,
        EXISTS (SELECT FROM events WHERE position IS NULL) AS events_wait,
        EXISTS (SELECT FROM audit WHERE position IS NULL) AS audit_waits,
        system_identifier AS system, 'events'::regclass::oid::bigint AS table_oid,
        CASE WHEN current_setting('transaction_read_only') = 'off' THEN
        ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END AS timeline,
        feed.epoch, feed.server
    FROM pg_control_system()
    LEFT JOIN LATERAL (SELECT epoch, server FROM feed_epochs ORDER BY epoch DESC LIMIT 1) AS feed ON true"""
)
_ORDER = (Event.write_order.nulls_first(), Event.created_at, Event.id)
_WAITING = (
    select(Event.id, func.row_number().over(order_by=_ORDER).label("nth"))
    .where(Event.position.is_(None))
    .order_by(*_ORDER)
    .limit(bindparam("limit", type_=Integer))
    .subquery()
)
_NUMBERED = (
    update(Event)
    .where(Event.id == _WAITING.c.id)
    .values(position=bindparam("last", type_=BigInteger) + _WAITING.c.nth)
    .returning(Event.position, Event.type)
    .cte("numbered")
)
_TYPES = func.string_agg(_NUMBERED.c.type.distinct(), ",")
_POSITIONS = func.min(_NUMBERED.c.position), " ", func.max(_NUMBERED.c.position)
# Number the rows and notify.
_NUMBER = select(
    func.count(),
    func.pg_notify(EVENTS_NUMBERED, func.concat(*_POSITIONS, " ", _TYPES)),
).select_from(_NUMBERED)


async def number_committed_events(database: Database, limit: int = 5_000) -> int:
    """Number committed events and audit rows in the order of writing; return how many.

    Audit rows are chained in the same step. Return 0 if another relay holds the lock.
    """
    return await _number(database, limit) or 0


async def _number(database: Database, limit: int = 5_000) -> int | None:
    """Number rows as `number_committed_events` does; return None if another relay holds the lock."""
    async with database.write() as session:
        # A separate statement, so that the next one sees what the previous holder of the lock committed.
        if not await session.scalar(_LOCK):
            return None
        outbox = (await session.execute(_OUTBOX)).one()
        last = _last_position(session, outbox)
        count = 0
        if outbox.events_wait:
            count, _ = (await session.execute(_NUMBER, {"last": last, "limit": limit})).one()
        return count + (await number_and_chain(session) if outbox.audit_waits else 0)


def _last_position(session: WriteSession, outbox: Row[Any]) -> int:
    """Return the last position; after a failover or a restore, the position before the first one of a new epoch.

    Consumers may have read positions of the lost server that are missing here, so those numbers are not reused. A
    dump that is restored twice does not contain the epoch of the first time, so the number of an epoch is at least
    that of the minute. Versions that stored no OID get a new epoch at their upgrade too: their row may come from a
    dump.
    """
    last = int(outbox.last)
    if outbox.timeline is None:
        raise ReadOnlyServerError("the server is read-only")
    server = f"{outbox.system}/{outbox.timeline}/{outbox.table_oid}"
    if outbox.server == server:
        return max(last, int(outbox.epoch) << EPOCH_BITS)
    epoch = 0
    if outbox.server is not None:
        minute = int(clock.now().timestamp()) // 60
        epoch = max(int(outbox.epoch) + 1, (last >> EPOCH_BITS) + 1, minute)
        log.warning("event epoch changed", server=server, before=outbox.server, epoch=epoch)
    session.add(FeedEpoch(epoch=epoch, server=server, created_at=clock.now()))
    return max(last, epoch << EPOCH_BITS)


async def relay(database: Database, wakeups: NotificationListener) -> None:
    """Number events until cancelled. Every worker runs a relay; the lock allows one at a time.

    A relay that finds the lock taken stands by: it ignores notifications until two polls in a row, a second apart,
    have found rows to number. The holder of the lock may be gone then.
    """
    async with wakeups.subscribe(EVENTS_WRITTEN) as written, wakeups.subscribe(OUTBOX_WAITS) as waits:
        stands_by = False
        while True:
            await wait_for_notification(waits if stands_by else written, wakeups.longest_wait)
            try:
                while count := await _number(database):
                    pass
                # A relay that got the lock stays active, even if it found nothing: the previous holder may stand
                # by now.
                stands_by = count is None
            except Exception as error:
                if not is_outage(error):
                    raise
                stands_by = False
                log.warning("relay waiting for database", error=repr(error)[:300])
                await asyncio.sleep(AFTER_OUTAGE_SECONDS)
