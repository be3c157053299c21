"""Lists of appeals in the order of a column, and counts of them."""

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lists.appeal_columns import LISTED_NAMES, SELECT_LISTED
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.search.matching import next_appeals, require_words
from services.appeals.sla.breaches import overdue_condition
from shared import clock
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal


def list_query(
    caller: Caller, filters: AppealFilter, paging: Paging, *, newest_first: bool = True
) -> Select[*tuple[Any, ...]]:
    """Return the query that lists appeals by the moment they were opened, one more than the page takes.

    Indexes end in `opened_at, id` and are read in either direction.
    """
    columns = (Appeal.opened_at, Appeal.id)
    order = [column.desc() if newest_first else column.asc() for column in columns]
    query = SELECT_LISTED.where(*filters.conditions(caller)).order_by(*order).limit(paging.limit + 1)
    after = paging.after(columns, (datetime.fromisoformat, UUID), descending=newest_first)
    return query if after is None else query.where(after)


async def find(
    session: AsyncSession, caller: Caller, filters: AppealFilter, paging: Paging, *, newest_first: bool = True
) -> list[SimpleNamespace]:
    """Return a page of appeals and one more, by the moment they were opened, with `q` by number.

    A row has the columns of an appeal, and the names of its organisation, topic, topic group, municipality and
    assignee.
    """
    if not filters.q:
        return await _listed(session, list_query(caller, filters, paging, newest_first=newest_first))
    position = paging.position((int,))
    found = await next_appeals(
        session,
        caller,
        filters.q,
        filters.conditions_without_words(caller),
        organisation_id=filters.organisation_id,
        after=None if position is None else position[0],
        limit=paging.limit + 1,
        newest_first=newest_first,
    )
    rows = await _listed(session, SELECT_LISTED.where(Appeal.id.in_(found), caller.scope(Appeal.organisation_id)))
    return sorted(rows, key=lambda row: row.number, reverse=newest_first)


async def _listed(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> list[SimpleNamespace]:
    # The attributes of a row of the result are slow.
    return [SimpleNamespace(**dict(zip(LISTED_NAMES, row, strict=True))) for row in await session.execute(query)]


def position_of(row: SimpleNamespace, filters: AppealFilter) -> tuple[Any, ...]:
    """Return the position of an appeal in the list, for its cursor."""
    return (row.number,) if filters.q else (row.opened_at, row.id)


async def count_by_status(
    session: AsyncSession, caller: Caller, filters: AppealFilter
) -> Sequence[Row[str, int, int]]:
    """Return each status of the appeals that the filter matches, how many have it, and how many are overdue.

    Raises `Invalid` for a search without words.
    """
    if filters.q:
        await require_words(session, filters.q)
    late = func.count().filter(func.coalesce(overdue_condition(clock.now()), False))
    query = select(Appeal.status, func.count(), late).where(*filters.conditions(caller)).group_by(Appeal.status)
    return (await session.execute(query)).all()
