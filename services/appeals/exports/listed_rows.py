"""Reads a whole list of appeals page by page, each in a transaction of its own: none waits for a client."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lists import appeal_list
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort, check_sort, position_of
from services.appeals.search.matching import require_words
from shared.api.pagination import MAX_LIMIT, Paging, encode_cursor
from shared.auth.callers import Caller
from shared.database.sessions import Database
from shared.http.problems import Conflict
from shared.tables.appeals import Appeal

_BINDING = "export"


async def count(
    session: AsyncSession, caller: Caller, filters: AppealFilter, sort: AppealSort, *, max_rows: int
) -> int:
    """Return how many appeals match. Raise `Conflict` for more than `max_rows`, and `Invalid` as the list does."""
    check_sort(sort, filters)
    if filters.q:
        await require_words(session, filters.q)
    # Stops at the first row too many: a count of all would read them all.
    some = select(Appeal.id).where(*filters.conditions(caller)).limit(max_rows + 1).subquery()
    found = await session.scalar(select(func.count()).select_from(some)) or 0
    if found > max_rows:
        raise Conflict(f"More than {max_rows} appeals match: narrow the filter, for example by opened_from")
    return found


async def pages(
    database: Database, caller: Caller, filters: AppealFilter, sort: AppealSort
) -> AsyncIterator[list[SimpleNamespace]]:
    """Yield the rows of the list in its order, at most 200 at a time."""
    cursor: str | None = None
    while True:
        paging = Paging(MAX_LIMIT, cursor, _BINDING, "")
        async with database.read() as session:
            rows = await appeal_list.find(session, caller, filters, paging, sort)
        if rows:
            yield rows[:MAX_LIMIT]
        if len(rows) <= MAX_LIMIT:
            return
        cursor = encode_cursor(position_of(rows[MAX_LIMIT - 1], sort, filters), _BINDING)
