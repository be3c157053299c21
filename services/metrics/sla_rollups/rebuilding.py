"""Count the months that have ended or changed again, and keep the result. Changes are consumed with it.

Docs: docs/decisions/0029-roll-up-sla-figures-by-month.md.
"""

from collections.abc import Sequence
from datetime import date, datetime

from prometheus_client import Gauge
from sqlalchemy import and_, delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.sla_rollups.months import month_column, month_of, month_period, months_between
from services.metrics.sla_rollups.packed_figures import COLUMNS, KINDS, packed_rows
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
GAUGE_INTERVAL_SECONDS = 15.0
_LOCK = "sla-rollups"


async def rebuild_due_months(database: Database, now: datetime) -> int:
    """Roll up the months that have ended and are not, or have changed since; return how many.

    Changes of a month that has not ended are dropped: it is read from rows, and rolled up in a later state.
    """
    async with database.read() as session:
        due = await _due_months(session, now)
    count = 0
    for month in due:
        async with database.write() as session:
            count += await rebuild_month(session, month, now)
    return count


async def _due_months(session: AsyncSession, now: datetime) -> list[date]:
    """Return the changed months, and those that have ended and are not rolled up; newest first."""
    changed = set(await session.scalars(select(month_column(SlaRollupChange.opened_at)).distinct()))
    first = await session.scalar(select(func.min(Appeal.opened_at)))
    rolled_up: Sequence[date] = (await session.scalars(select(SlaRollupMonth.month))).all()
    ended = [] if first is None else [m for m in months_between(month_of(first), month_of(now)) if _ended(m, now)]
    return sorted(changed | set(ended).difference(rolled_up), reverse=True)


def _ended(month: date, now: datetime) -> bool:
    return month_period(month).end <= now


async def rebuild_month(session: WriteSession, month: date, now: datetime) -> bool:
    """Roll up a month and consume its changes, both as of one state of the database.

    A change that this state does not have keeps its row, so the month stays changed. Return False if the month has
    not ended, or another worker rebuilds months at the moment.
    """
    await use_snapshot(session)
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(_LOCK, 0)))):
        return False
    period = month_period(month)
    changes = and_(SlaRollupChange.opened_at >= period.start, SlaRollupChange.opened_at < period.end)
    await session.execute(delete(SlaRollupChange).where(changes))
    await session.execute(delete(SlaRollup).where(SlaRollup.month == month))
    await session.execute(delete(SlaRollupMonth).where(SlaRollupMonth.month == month))
    if not _ended(month, now):
        return False
    opened = and_(Appeal.opened_at >= period.start, Appeal.opened_at < period.end)
    for kind in KINDS:
        rows = packed_rows(kind, opened).add_columns(literal(kind), literal(month))
        await session.execute(insert(SlaRollup).from_select(["key", *COLUMNS, "kind", "month"], rows))
    await session.execute(insert(SlaRollupMonth).values(month=month, created_at=now))
    log.info("month rolled up", month=month.isoformat())
    return True


async def update_gauge(session: AsyncSession) -> None:
    """Set the gauge of the lag; 0 if every change is rolled up."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(SlaRollupChange.changed_at))
    LAG.set(float(await session.scalar(select(func.greatest(age, 0))) or 0))


async def run_gauge_updates(service: Service) -> None:
    """Update the gauge of the lag every `GAUGE_INTERVAL_SECONDS`, until cancelled."""

    async def one_round() -> float:
        async with service.database.read() as session:
            await update_gauge(session)
        return GAUGE_INTERVAL_SECONDS

    await run_periodically(one_round)
