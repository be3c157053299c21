"""Roll up past months that are new or have changed. The recorded changes are deleted in the same transaction.

Docs: docs/decisions/0029-roll-up-sla-figures-by-month.md.
"""

from datetime import date, datetime, timedelta

from prometheus_client import Counter, Gauge
from sqlalchemy import and_, delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.sla import SLA_DEFINITION
from services.metrics.sla_rollups.months import month_of, month_period, months_between
from services.metrics.sla_rollups.packed_figures import COLUMNS, KINDS, PackedFigures, packed_rows
from shared import clock
from shared.database.outages import sqlstate
from shared.database.sessions import Database, WriteSession, use_snapshot
from shared.logs import get_logger
from shared.service import Service
from shared.supervision import run_periodically
from shared.tables.appeals import Appeal
from shared.tables.metrics_rollups import SlaRollup, SlaRollupChange, SlaRollupMonth

log = get_logger(__name__)

LAG = Gauge(
    "gospablik_sla_rollup_lag_seconds", "Age of the oldest change of an appeal that SLA rollups do not have yet"
)
MISSING = Gauge("gospablik_sla_rollup_missing_months", "Months that have ended and are not rolled up")
CORRECTED = Counter("gospablik_corrected_sla_rollups_total", "SLA rollups that the nightly recount corrected")
GAUGE_INTERVAL_SECONDS = 15.0
# A constantly changing month is rebuilt at most once in this time; until then its figures are counted from rows.
MIN_CHANGE_AGE = timedelta(hours=1)
_LOCK = "sla-rollups"
# Serialization failure, unique violation: another worker committed the month after this transaction's snapshot.
_ROLLED_UP_BY_ANOTHER = ("40001", "23505")


async def rebuild_due_months(database: Database, now: datetime) -> int:
    """Roll up past months without a rollup, and those with changes that are old enough; return how many.

    Changes of a month that has not ended are deleted: it is read from rows, and rolled up after its end. A failure
    does not stop the other months; all failures are raised as a group at the end.
    """
    async with database.read() as session:
        due = await _changed_months(session) | await _missing_months(session, now)
    count = 0
    failures: list[Exception] = []
    for month in sorted(due, reverse=True):
        try:
            async with database.write() as session:
                count += await rebuild_month(session, month, now)
        except Exception as error:
            if sqlstate(error) in _ROLLED_UP_BY_ANOTHER:
                log.info("month rolled up by another worker", month=month.isoformat())
                continue
            log.exception("month not rolled up", month=month.isoformat())
            failures.append(error)
    if failures:
        raise ExceptionGroup("some months were not rolled up", failures)
    return count


async def _changed_months(session: AsyncSession) -> set[date]:
    """Return the months whose oldest recorded change is old enough for a rebuild."""
    age = func.clock_timestamp() - func.min(SlaRollupChange.changed_at)
    return set(
        await session.scalars(
            select(SlaRollupChange.month).group_by(SlaRollupChange.month).having(age >= MIN_CHANGE_AGE)
        )
    )


async def _missing_months(session: AsyncSession, now: datetime) -> set[date]:
    """Return the past months without a rollup of the current definition."""
    first = await session.scalar(select(func.min(Appeal.opened_at)))
    if first is None:
        return set()
    rolled_up = await session.scalars(
        select(SlaRollupMonth.month).where(SlaRollupMonth.definition == SLA_DEFINITION)
    )
    months = months_between(month_of(first), month_of(now))
    return {month for month in months if _ended(month, now)}.difference(rolled_up)


def _ended(month: date, now: datetime) -> bool:
    return month_period(month).end <= now


async def rebuild_month(session: WriteSession, month: date, now: datetime) -> bool:
    """Roll up a month and delete its recorded changes, both in one snapshot.

    Changes outside the snapshot stay recorded, so the month stays due. Return False if the month has not ended, or
    another worker is rebuilding months.
    """
    if not await _lock_in_snapshot(session):
        return False
    await session.execute(delete(SlaRollupChange).where(SlaRollupChange.month == month))
    if not _ended(month, now):
        return False
    await _roll_up(session, month, now)
    return True


async def _lock_in_snapshot(session: WriteSession) -> bool:
    """Begin a snapshot and take the lock; return False if another worker is rebuilding months.

    Another worker may have committed between the snapshot and the lock: replacing the same month then fails.
    """
    await use_snapshot(session)
    locked = await session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
    return bool(locked)


async def _roll_up(session: WriteSession, month: date, now: datetime) -> None:
    """Replace the rollup of a month that has ended."""
    await session.execute(delete(SlaRollup).where(SlaRollup.month == month))
    await session.execute(delete(SlaRollupMonth).where(SlaRollupMonth.month == month))
    period = month_period(month)
    opened = and_(Appeal.opened_at >= period.start, Appeal.opened_at < period.end)
    for kind in KINDS:
        rows = packed_rows(kind, opened).add_columns(literal(kind), literal(month))
        await session.execute(insert(SlaRollup).from_select(["key", *COLUMNS, "kind", "month"], rows))
    await session.execute(insert(SlaRollupMonth).values(month=month, definition=SLA_DEFINITION, created_at=now))
    log.info("month rolled up", month=month.isoformat())


async def recount_oldest_rollup(database: Database, now: datetime) -> bool:
    """Rebuild the oldest rollup; return whether it was wrong, which is also logged.

    A rollup is wrong only if appeals were changed without the triggers. Months with recorded changes are left to
    `rebuild_due_months`; a month that another worker rebuilds at the same time is skipped.
    """
    try:
        month = await _recount_oldest(database, now)
    except Exception as error:
        if sqlstate(error) not in _ROLLED_UP_BY_ANOTHER:
            raise
        log.info("month not recounted: another worker has rolled it up")
        return False
    if month is None:
        return False
    log.error(
        "rollup differed from the appeals and was replaced: a change bypassed the triggers",
        month=month.isoformat(),
    )
    CORRECTED.inc()
    return True


async def _recount_oldest(database: Database, now: datetime) -> date | None:
    """Rebuild the oldest rollup; return its month if the rollup was wrong, otherwise None."""
    oldest = (
        select(SlaRollupMonth.month)
        .where(
            SlaRollupMonth.definition == SLA_DEFINITION,
            SlaRollupMonth.month.not_in(select(SlaRollupChange.month)),
        )
        .order_by(SlaRollupMonth.created_at, SlaRollupMonth.month)
        .limit(1)
    )
    async with database.write() as session:
        month = await session.scalar(oldest) if await _lock_in_snapshot(session) else None
        if month is None:
            return None
        kept = await _figures(session, month)
        await _roll_up(session, month, now)
        return None if await _figures(session, month) == kept else month


async def _figures(session: AsyncSession, month: date) -> dict[tuple[str, str], PackedFigures]:
    """Return the figures of a rolled-up month by kind and key."""
    columns = [getattr(SlaRollup, name) for name in COLUMNS]
    query = select(SlaRollup.kind, SlaRollup.key, *columns).where(SlaRollup.month == month)
    rows = (await session.execute(query)).all()
    return {(row.kind, row.key): PackedFigures.of_row(row).in_order() for row in rows}


async def update_gauges(session: AsyncSession, now: datetime) -> None:
    """Set the gauges; both are 0 if no change is recorded and no month is missing."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(SlaRollupChange.changed_at))
    LAG.set(float(await session.scalar(select(func.greatest(age, 0))) or 0))
    MISSING.set(len(await _missing_months(session, now)))


async def run_gauge_updates(service: Service) -> None:
    """Update the gauges every `GAUGE_INTERVAL_SECONDS`, until cancelled."""

    async def one_round() -> float:
        async with service.database.read() as session:
            await update_gauges(session, clock.now())
        return GAUGE_INTERVAL_SECONDS

    await run_periodically(one_round)
