"""Coverage over time: counts are stored per day and group, and summed for each request."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    ScalarSelect,
    cast,
    delete,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.coverage.coverage_query import CoverageFilter, best_pages_query, filter_conditions
from services.registry.coverage.summary import count_expressions
from services.registry.persistence.skip_scan import distinct_days
from services.registry.schemas.coverage import CoveragePoint, HistoryInterval
from shared.api.pagination import Paging
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.registry import CoverageDay

COVERAGE_LOCK_KEY = 0x636F7665  # "cove"
GROUP_COLUMNS = ("network", "municipality", "sphere", "parent_id", "kind")
STORED_COUNTS = ("required", "exempt", "covered", "live")
_LENGTHS: dict[HistoryInterval, ColumnElement[timedelta]] = {
    step: literal_column(f"interval '1 {step}'") for step in HistoryInterval
}


async def record_day(session: WriteSession, today: date) -> int:
    """Store the day's counts, replacing those stored earlier that day. Return the number of rows."""
    await session.execute(select(func.pg_advisory_xact_lock(COVERAGE_LOCK_KEY)))
    rows = best_pages_query(today, CoverageFilter()).c
    expressions = count_expressions(rows)
    groups = (
        await session.execute(
            select(*rows[GROUP_COLUMNS], *(expressions[name].label(name) for name in STORED_COUNTS)).group_by(
                *rows[GROUP_COLUMNS]
            )
        )
    ).mappings()
    made = [{"id": new_id(), "day": today, **group} for group in groups]
    await session.execute(delete(CoverageDay).where(CoverageDay.day == today))
    await insert_rows(session, CoverageDay, made)
    return len(made)


async def list_points(
    session: AsyncSession,
    *,
    start: date,
    end: date,
    interval: HistoryInterval,
    network: str,
    filters: CoverageFilter,
    paging: Paging | None,
) -> list[CoveragePoint]:
    """Return one point per interval, for the last day recorded in it, oldest first (page size plus one)."""

    def ends(day: ColumnElement[Any]) -> ColumnElement[date]:
        return cast(func.date_trunc(interval.value, day) + _LENGTHS[interval], Date)

    def first(*later: ColumnElement[bool]) -> ScalarSelect[date]:
        return select(func.min(CoverageDay.day)).where(CoverageDay.day <= end, *later).scalar_subquery()

    after = None if paging is None else paging.after((CoverageDay.day,), (date.fromisoformat,), descending=False)
    steps = distinct_days(
        first(CoverageDay.day >= start, true() if after is None else after),
        lambda day: first(CoverageDay.day >= ends(day)),
        None if paging is None else paging.limit + 1,
    )
    last = (
        select(func.max(CoverageDay.day).label("day"))
        .where(CoverageDay.day.between(steps.c.day, end), CoverageDay.day < ends(steps.c.day))
        .lateral("last")
    )
    sums: list[Any] = [
        func.coalesce(func.sum(getattr(CoverageDay, name)), 0).label(name) for name in STORED_COUNTS
    ]
    # A lateral join per day: in a join with all days at once, the planner might scan the whole table.
    of_day = (
        select(*sums)
        .where(
            CoverageDay.day == last.c.day, CoverageDay.network == network, *filter_conditions(filters, CoverageDay)
        )
        .lateral("of_day")
    )
    query = (
        select(last.c.day, *of_day.c)
        .select_from(steps.join(last, true()).join(of_day, true()))
        .order_by(last.c.day)
    )
    return [
        CoveragePoint.counted(row["day"], {name: int(row[name]) for name in STORED_COUNTS})
        for row in (await session.execute(query)).mappings()
    ]
