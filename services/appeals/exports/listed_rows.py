"""Reading of a whole list of appeals: all ids in order at once, then the rows by pages, each page in its own
transaction.
"""

from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.exports.layouts import LIST, Layout
from services.appeals.lists import appeal_list
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.database.sessions import Database
from shared.http.problems import Conflict

PAGE_ROWS = 200


async def listed_ids(
    session: AsyncSession, caller: Caller, filters: AppealFilter, sort: AppealSort, *, max_rows: int
) -> list[UUID]:
    """Return the ids of all appeals of the list, in its order. Raises `Conflict` for more than `max_rows` appeals,
    and `Invalid` as the list does.
    """
    ids = await appeal_list.find_ids(session, caller, filters, sort, max_rows + 1)
    if len(ids) > max_rows:
        raise Conflict(f"More than {max_rows} appeals match: narrow the filter, for example by opened_from")
    return ids


async def pages(
    database: Database, caller: Caller, ids: Sequence[UUID], layout: Layout = LIST
) -> AsyncIterator[Sequence[SimpleNamespace]]:
    """Yield the rows of these appeals in this order, as they are now, at most 200 at a time, completed for the
    layout.

    Raises `Unauthenticated` when the caller has lost the access that the token grants. This is checked for each
    page, because a slow client may read for a long time.
    """
    for start in range(0, len(ids), PAGE_ROWS):
        async with database.read() as session:
            if not await token_recheck.callers_with_access(session, [caller]):
                raise token_recheck.access_changed()
            rows = await appeal_list.read_rows(session, caller, ids[start : start + PAGE_ROWS])
            await layout.complete(session, rows)
        yield rows
