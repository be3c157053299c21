"""The time of a report, and how it is passed to the queries of the populations."""

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
    """The period of a report, and the moment with which open deadlines are compared."""

    period: Period
    as_of: datetime

    @property
    def parameters(self) -> dict[str, datetime]:
        """Return the parameters for executing the queries of the populations."""
        return {"period_start": self.period.start, "period_end": self.period.end, "as_of": self.as_of}


def reported_time(week: Week, now: datetime) -> ReportedTime:
    """Return the time of a week's report; `as_of` is the week's end, or now if the week has not ended."""
    return ReportedTime(week.period, min(week.period.end, now))


async def plan_for_a_week(session: AsyncSession) -> None:
    """Make Postgres plan the queries of the populations for their actual times, in this transaction.

    A generic plan would expect many rows and scan whole tables; parallel workers take longer to start than a
    week's rows take to read.
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
