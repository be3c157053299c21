"""Counts of appeals by status: read from sums that triggers maintain or, with other filters, counted from the
appeals. Triggers insert the difference that a change makes into `appeal_counts`, in the same transaction. So the
sums are always exact, and concurrent changes do not wait for each other, as they would to update one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import ColumnElement, delete, func, insert, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import actor_id
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.search.matching import require_words
from services.appeals.sla.breaches import overdue_condition
from shared import clock
from shared.api.pagination import inline_literal
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.appeals_lists import AppealCount

CORRECTED = Counter(
    "gospablik_corrected_appeal_counts_total", "Sums of appeals that the nightly recount corrected"
)
_log = structlog.get_logger(__name__)
_KEYS = ("organisation_id", "assignee_id", "status", "urgency")
_COLUMNS = [getattr(AppealCount, name) for name in _KEYS]
_COUNTED_FILTERS = {*_KEYS, "assignee"}
# Summing fewer rows costs next to nothing.
_MIN_ROWS = 1_000


@dataclass(frozen=True)
class AppealsCounted:
    """The number of appeals in each status, and the number of overdue appeals."""

    by_status: dict[str, int]
    overdue: int


async def count_by_status(session: AsyncSession, caller: Caller, filters: AppealFilter) -> AppealsCounted:
    """Return the number of matching appeals by status, and how many are overdue. Raises `Invalid` for a search
    without words.
    """
    if filters.q:
        await require_words(session, filters.q)
    conditions, late = filters.conditions(caller), overdue_condition(clock.now())
    given = {name for name, value in filters if value is not None and value != ""}
    if not given <= _COUNTED_FILTERS:
        overdue = func.count().filter(func.coalesce(late, False))
        query = select(Appeal.status, func.count(), overdue).where(*conditions).group_by(Appeal.status)
        rows = (await session.execute(query)).all()
        return AppealsCounted({row[0]: row[1] for row in rows}, sum(row[2] for row in rows))
    total = func.sum(AppealCount.appeals)
    sums = (
        select(AppealCount.status, total)
        .where(*_conditions(filters, caller))
        .group_by(AppealCount.status)
        .having(total > 0)
    )
    by_status = {status: int(count) for status, count in await session.execute(sums)}
    found = await session.scalar(select(func.count()).select_from(Appeal).where(*conditions, late))
    return AppealsCounted(by_status, found or 0)


def _conditions(filters: AppealFilter, caller: Caller) -> list[ColumnElement[bool]]:
    """Return the caller's scope and the filter as SQL conditions on the rows of `appeal_counts`."""
    conditions: list[ColumnElement[bool]] = [caller.scope(AppealCount.organisation_id)]
    if filters.status:
        conditions.append(AppealCount.status.in_(filters.status))
    if filters.organisation_id is not None:
        conditions.append(AppealCount.organisation_id == filters.organisation_id)
    if filters.assignee_id is not None:
        conditions.append(AppealCount.assignee_id == filters.assignee_id)
    if filters.urgency is not None:
        conditions.append(AppealCount.urgency == inline_literal(filters.urgency))
    if filters.assignee == "me":
        conditions.append(AppealCount.assignee_id == actor_id(caller.subject))
    if filters.assignee == "none":
        conditions += [AppealCount.assignee_id.is_(None), AppealCount.status.in_(OPEN_APPEAL_STATUSES)]
    return conditions


async def sum_up(session: WriteSession) -> bool:
    """Replace the rows of `appeal_counts` by one row per sum, if most rows are differences; return whether this
    was done. Uncommitted rows of other transactions are not seen, and stay.
    """
    sums = select(func.count()).select_from(select(*_COLUMNS).distinct().subquery()).scalar_subquery()
    rows = select(func.count()).select_from(AppealCount).scalar_subquery()
    if not await session.scalar(select(rows > 2 * sums + _MIN_ROWS)):
        return False
    gone = delete(AppealCount).returning(*_COLUMNS, AppealCount.appeals).cte("gone")
    keys = [gone.c[name] for name in _KEYS]
    total = func.sum(gone.c.appeals)
    kept = select(*keys, total).group_by(*keys).having(total != 0)
    await session.execute(insert(AppealCount).from_select([*_KEYS, "appeals"], kept))
    return True


async def differences(session: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return the sums that differ from the appeals, each with the number of appeals that it lacks. The result is
    empty unless rows were changed with triggers disabled. Reads all appeals.
    """
    actual = select(*(getattr(Appeal, name) for name in _KEYS), literal(1).label("appeals"))
    counted = select(*_COLUMNS, (-AppealCount.appeals).label("appeals"))
    both = union_all(actual, counted).subquery()
    keys, missing = [both.c[name] for name in _KEYS], func.sum(both.c.appeals)
    query = select(*keys, missing.label("appeals")).group_by(*keys).having(missing != 0)
    return [dict(row) for row in (await session.execute(query)).mappings()]


async def correct(session: WriteSession) -> int:
    """Correct the sums by their differences from the appeals; return how many were wrong. The number is also
    logged.
    """
    wrong = await differences(session)
    if wrong:
        _log.error(
            "stored counts differed from the appeals and were corrected: a change bypassed the triggers",
            sums=len(wrong),
        )
        CORRECTED.inc(len(wrong))
        await session.execute(insert(AppealCount), wrong)
    return len(wrong)
