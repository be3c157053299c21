"""Coverage over time: a day's figures are kept by group, and added up for whatever is asked of them later."""

from datetime import date
from typing import Any

from sqlalchemy import and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.coverage.figures import counts
from services.registry.coverage.standing import Filter, narrowed, standing
from services.registry.schemas.coverage import ANY, CoverageDayShown, Step
from shared.database import WriteSession
from shared.ids import new_id
from shared.pagination import Paging
from shared.tables.registry import CoverageDay

COVERAGE_LOCK = 0x636F7665  # "cove"
GROUP = ("network", "municipality", "sphere", "owner_id", "kind")
KEPT = ("total", "exempt", "covered", "live")


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
    picked = (
        select(func.max(CoverageDay.day).label("day"))
        .where(CoverageDay.network == ANY, CoverageDay.day.between(start, end))
        .group_by(func.date_trunc(step.value, CoverageDay.day))
        .order_by(func.max(CoverageDay.day))
    )
    if paging is not None:
        after = paging.after((CoverageDay.day,), (date.fromisoformat,), descending=False)
        picked = (picked if after is None else picked.where(after)).limit(paging.limit + 1)
    days = picked.subquery("picked")
    sums: list[Any] = [func.coalesce(func.sum(getattr(CoverageDay, name)), 0).label(name) for name in KEPT]
    query = (
        select(days.c.day, *sums)
        .select_from(days)
        .outerjoin(
            CoverageDay,
            and_(CoverageDay.day == days.c.day, CoverageDay.network == network, *narrowed(wanted, CoverageDay)),
        )
        .group_by(days.c.day)
        .order_by(days.c.day)
    )
    return [
        CoverageDayShown.counted(row["day"], {name: int(row[name]) for name in KEPT})
        for row in (await session.execute(query)).mappings()
    ]
