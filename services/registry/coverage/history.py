"""Coverage over time: a day's figures are kept by group, and added up for whatever is asked of them later."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    ScalarSelect,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.coverage.coverage_query import Filter, narrowed, standing
from services.registry.coverage.summary import counts
from services.registry.persistence.skip_scan import walked
from services.registry.schemas.coverage import CoverageDayShown, Step
from shared.api.pagination import Paging
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.registry import CoverageDay

COVERAGE_LOCK = 0x636F7665  # "cove"
GROUP = ("network", "municipality", "sphere", "owner_id", "kind")
KEPT = ("total", "exempt", "covered", "live")
_LENGTHS: dict[Step, ColumnElement[timedelta]] = {step: literal_column(f"interval '1 {step}'") for step in Step}


async def record(session: WriteSession, today: date) -> int:
    """Write the day's figures, in place of those written earlier that day; returns how many rows it took."""
    await session.execute(select(func.pg_advisory_xact_lock(COVERAGE_LOCK)))
    rows = standing(today, Filter()).c
    found = counts(rows)
    groups = (
        await session.execute(
            select(*rows[GROUP], *(found[name].label(name) for name in KEPT)).group_by(*rows[GROUP])
        )
    ).mappings()
    made = [{"id": new_id(), "day": today, **group} for group in groups]
    await session.execute(delete(CoverageDay).where(CoverageDay.day == today))
    if made:
        await session.execute(insert(CoverageDay), made)
    return len(made)


async def points(
    session: AsyncSession,
    *,
    start: date,
    end: date,
    step: Step,
    network: str,
    wanted: Filter,
    paging: Paging | None,
) -> list[CoverageDayShown]:
    """One day per step, the last that was recorded in it, oldest first; one more than the limit."""

    def ends(day: ColumnElement[Any]) -> ColumnElement[date]:
        return cast(func.date_trunc(step.value, day) + _LENGTHS[step], Date)

    def first(*later: ColumnElement[bool]) -> ScalarSelect[date]:
        return select(func.min(CoverageDay.day)).where(CoverageDay.day <= end, *later).scalar_subquery()

    after = None if paging is None else paging.after((CoverageDay.day,), (date.fromisoformat,), descending=False)
    steps = walked(
        first(CoverageDay.day >= start, true() if after is None else after),
        lambda day: first(CoverageDay.day >= ends(day)),
        None if paging is None else paging.limit + 1,
    )
    last = (
        select(func.max(CoverageDay.day).label("day"))
        .where(CoverageDay.day.between(steps.c.day, end), CoverageDay.day < ends(steps.c.day))
        .lateral("last")
    )
    sums: list[Any] = [func.coalesce(func.sum(getattr(CoverageDay, name)), 0).label(name) for name in KEPT]
    # Day by day: joined to them all, the planner might read the whole table.
    of_day = (
        select(*sums)
        .where(CoverageDay.day == last.c.day, CoverageDay.network == network, *narrowed(wanted, CoverageDay))
        .lateral("of_day")
    )
    query = (
        select(last.c.day, *of_day.c)
        .select_from(steps.join(last, true()).join(of_day, true()))
        .order_by(last.c.day)
    )
    return [
        CoverageDayShown.counted(row["day"], {name: int(row[name]) for name in KEPT})
        for row in (await session.execute(query)).mappings()
    ]
