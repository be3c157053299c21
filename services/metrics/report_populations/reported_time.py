"""The time of a report, and how the queries of the populations are given it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.period import Period
from services.metrics.indicators.weeks import Week

START, END, AS_OF = (
    bindparam(name, type_=DateTime(timezone=True)) for name in ("period_start", "period_end", "as_of")
)


@dataclass(frozen=True)
class ReportedTime:
    """The period that a report is about, and the moment for which open deadlines are compared."""

    period: Period
    as_of: datetime

    @property
    def parameters(self) -> dict[str, datetime]:
        """Return what the queries of the populations are executed with."""
        return {"period_start": self.period.start, "period_end": self.period.end, "as_of": self.as_of}


def reported_time(week: Week, now: datetime) -> ReportedTime:
    """Return the time of a week's report: its end, or now if it has not ended."""
    return ReportedTime(week.period, min(week.period.end, now))


async def plan_for_a_week(session: AsyncSession) -> None:
    """Let the database plan the queries of the populations for the times that they are given, in this transaction.

    A plan for any period would expect many rows, and scan tables; parallel workers take longer to start than to
    read a week's rows.
    """
    await session.execute(
        select(
            func.set_config("plan_cache_mode", "force_custom_plan", True),
            func.set_config("max_parallel_workers_per_gather", "0", True),
        )
    )


def in_period(moment: Any) -> ColumnElement[bool]:
    """Return the SQL condition that the moment is in the period."""
    return and_(moment >= START, moment < END)
