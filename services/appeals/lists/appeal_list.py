"""Lists of appeals in the requested order."""

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import actor_id
from services.appeals.lists.appeal_columns import LISTED_NAMES, SELECT_LISTED
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import URGENCIES, AppealOrder, AppealSort, check_sort, order_of
from services.appeals.search.matching import Search, next_appeals, parse_search
from shared.api.pagination import Paging, beyond, inline_literal
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal
from shared.tables.appeals_lists import AppealTag

Conditions = Sequence[ColumnElement[bool]]
# Up to this number of appeals with a tag, all of them are read and sorted for each page.
MAX_SORTED = 5_000
# Built once: building the statement takes longer than executing it.
_BY_ID = SELECT_LISTED.where(Appeal.id == any_(bindparam("ids", type_=ARRAY(Uuid))))


class ListedAppeals(NamedTuple):
    """Appeals of a list, and with `q` the parsed search.

    A row has the columns of an appeal, and the names of its organisation, topic, topic group, municipality and
    assignee.
    """

    rows: Sequence[SimpleNamespace]
    search: Search | None = None


def list_query(
    conditions: Conditions, paging: Paging, sort: AppealSort = "-opened_at"
) -> Select[*tuple[Any, ...]]:
    """Return the query for one page of appeals plus one row, in any order except by urgency
    (`_find_by_urgency`).
    """
    position = paging.position((datetime.fromisoformat, UUID))
    return _ordered(conditions, order_of(sort, reverse=paging.is_backward), position, paging.limit + 1)


async def conditions_of(session: AsyncSession, caller: Caller, filters: AppealFilter) -> Conditions:
    """Return the SQL conditions of a list, written for a rare or a frequent tag."""
    if not filters.tag:
        return filters.conditions(caller)
    tagged = select(AppealTag.appeal_id).where(AppealTag.tag == filters.tag)
    # Ordered like the index, so that rows of other tags are not read.
    beyond = tagged.order_by(AppealTag.tag, AppealTag.appeal_id).offset(MAX_SORTED).limit(1)
    frequent = await session.scalar(select(beyond.exists()))
    return filters.conditions(caller, tag_is_frequent=bool(frequent))


async def find(
    session: AsyncSession,
    caller: Caller,
    filters: AppealFilter,
    paging: Paging,
    sort: AppealSort = "-opened_at",
) -> ListedAppeals:
    """Return one page of appeals plus one row in the order of `sort`, with `q` by number; a backward page is in
    reverse order. Raises `Invalid` for an order that the filter does not allow, and for a search without words.
    """
    check_sort(sort, filters)
    order = order_of(sort, reverse=paging.is_backward)
    if filters.q:
        search = await parse_search(session, filters.q)
        found = await _search(session, caller, filters, search, paging, newest_first=order.descending)
        return ListedAppeals(found, search)
    conditions = await conditions_of(session, caller, filters)
    if order.by_urgency:
        return ListedAppeals(await _find_by_urgency(session, caller, conditions, paging, order))
    return ListedAppeals(await _listed(session, caller, list_query(conditions, paging, sort)))


async def find_ids(
    session: AsyncSession, caller: Caller, filters: AppealFilter, sort: AppealSort, limit: int
) -> list[UUID]:
    """Return the ids of the first appeals of a list, in its order. Raises the errors of `find`."""
    check_sort(sort, filters)
    order = order_of(sort)
    if filters.q:
        return await next_appeals(
            session,
            caller,
            await parse_search(session, filters.q),
            filters.conditions_without_words(caller),
            organisation_id=filters.organisation_id,
            after=None,
            limit=limit,
            newest_first=order.descending,
        )
    urgencies = (URGENCIES[::-1] if order.descending else URGENCIES) if order.by_urgency else (None,)
    conditions = await conditions_of(session, caller, filters)
    found: list[UUID] = []
    for urgency in urgencies:
        query = _ordered(conditions, order, None, limit - len(found))
        if urgency is not None:
            query = query.where(Appeal.urgency == inline_literal(urgency))
        only_ids = query.with_only_columns(Appeal.id, maintain_column_froms=True)
        found += await session.scalars(only_ids, {"reader": actor_id(caller.subject)})
    return found


async def read_rows(session: AsyncSession, caller: Caller, ids: Sequence[UUID]) -> list[SimpleNamespace]:
    """Return the rows of these appeals in this order, without appeals that the caller may no longer see."""
    query = caller.restrict(_BY_ID, Appeal.organisation_id)
    rows = {row.id: row for row in await _listed(session, caller, query, ids=list(ids))}
    return [rows[appeal_id] for appeal_id in ids if appeal_id in rows]


async def _search(
    session: AsyncSession,
    caller: Caller,
    filters: AppealFilter,
    search: Search,
    paging: Paging,
    *,
    newest_first: bool,
) -> list[SimpleNamespace]:
    position = paging.position((int,))
    found = await next_appeals(
        session,
        caller,
        search,
        filters.conditions_without_words(caller),
        organisation_id=filters.organisation_id,
        after=None if position is None else position[0],
        limit=paging.limit + 1,
        newest_first=newest_first,
    )
    return await read_rows(session, caller, found) if found else []


async def _find_by_urgency(
    session: AsyncSession, caller: Caller, conditions: Conditions, paging: Paging, order: AppealOrder
) -> list[SimpleNamespace]:
    """Return one page plus one row, from a query per urgency: the few urgent appeals have their own index."""
    position = paging.position((str, datetime.fromisoformat, UUID))
    urgencies = URGENCIES[::-1] if order.descending else URGENCIES
    if position is not None:
        urgencies = urgencies[urgencies.index(position[0]) :]
    rows: list[SimpleNamespace] = []
    for urgency in urgencies:
        after = position[1:] if position is not None and position[0] == urgency else None
        if len(rows) <= paging.limit:
            query = _ordered(conditions, order, after, paging.limit + 1 - len(rows))
            rows += await _listed(session, caller, query.where(Appeal.urgency == inline_literal(urgency)))
    return rows


def _ordered(
    conditions: Conditions, order: AppealOrder, after: Sequence[Any] | None, limit: int
) -> Select[*tuple[Any, ...]]:
    columns = (order.column, Appeal.id)
    query = (
        SELECT_LISTED.where(*conditions, *order.conditions)
        .order_by(*(column.desc() if order.descending else column.asc() for column in columns))
        .limit(limit)
    )
    return query if after is None else query.where(beyond(columns, after, descending=order.descending))


async def _listed(
    session: AsyncSession, caller: Caller, query: Select[*tuple[Any, ...]], **values: Any
) -> list[SimpleNamespace]:
    # Executed on the connection: the session would rebuild each row, and the attributes of its rows are slow.
    connection = await session.connection()
    rows = await connection.execute(query, {"reader": actor_id(caller.subject), **values})
    return [SimpleNamespace(**dict(zip(LISTED_NAMES, row, strict=True))) for row in rows]
