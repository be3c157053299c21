"""Stored page checks: of a day, of a page, and daily totals."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.persistence.skip_scan import distinct_days
from services.registry.schemas.page_checks import PageState, WatchedPageField
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.http.problems import NotFound
from shared.networks import NetworkName
from shared.tables.registry import Organisation, Page, PageCheck, PageCheckCalls


class PageCheckFilter(ListFilter):
    """Filter of a day's checks."""

    network: NetworkName | None = None
    organisation_id: UUID | None = None
    state: PageState | None = None
    changed: bool | None = Field(
        default=None, description="true: only pages on which something changed since the previous check"
    )
    field: WatchedPageField | None = Field(default=None, description="Only pages on which this field changed")


_HAS_CHANGES = func.jsonb_array_length(PageCheck.changes) > 0


async def list_of_day(
    session: AsyncSession, day: date, filters: PageCheckFilter, paging: Paging
) -> Sequence[Row[PageCheck, Page, Organisation]]:
    """Return the checks of a day with pages and organisations, by page name (page size plus one)."""
    query = (
        select(PageCheck, Page, Organisation)
        .join(Page, Page.id == PageCheck.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .where(PageCheck.day == day)
        .order_by(Page.sort_key, Page.id)
        .limit(paging.limit + 1)
    )
    if filters.network is not None:
        query = query.where(Page.network == filters.network)
    if filters.organisation_id is not None:
        query = query.where(Page.organisation_id == filters.organisation_id)
    if filters.state is not None:
        query = query.where(PageCheck.state == filters.state)
    if filters.changed is not None:
        query = query.where(_HAS_CHANGES if filters.changed else ~_HAS_CHANGES)
    if filters.field is not None:
        query = query.where(PageCheck.changes.contains([{"field": filters.field}]))
    after = paging.after((Page.sort_key, Page.id), (str, UUID), descending=False)
    return (await session.execute(query if after is None else query.where(after))).all()


async def list_of_page(session: AsyncSession, page_id: UUID, paging: Paging) -> list[PageCheck]:
    """Return all checks of a page, newest first (page size plus one).

    Raises `NotFound` for an unknown page.
    """
    if await session.get(Page, page_id) is None:
        raise NotFound("No such page")
    query = (
        select(PageCheck)
        .where(PageCheck.page_id == page_id)
        .order_by(PageCheck.day.desc(), PageCheck.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((PageCheck.day, PageCheck.id), (date.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def list_daily_totals(session: AsyncSession, paging: Paging) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the totals of each day, newest first (page size plus one)."""
    after = paging.after((PageCheck.day,), (date.fromisoformat,))
    newest = select(func.max(PageCheck.day)).where(true() if after is None else after)
    checked_days = distinct_days(
        newest.scalar_subquery(),
        lambda day: select(func.max(PageCheck.day)).where(PageCheck.day < day).scalar_subquery(),
        paging.limit + 1,
    )
    # A lateral join per day: in a join with all days at once, the planner might scan the whole table.
    went = (
        select(
            func.count().label("pages"),
            func.count().filter(_HAS_CHANGES).label("changed"),
            func.count().filter(PageCheck.state == PageState.CLOSED).label("closed"),
            func.count().filter(PageCheck.state == PageState.GONE).label("gone"),
        )
        .where(PageCheck.day == checked_days.c.day)
        .lateral("went")
    )
    calls = select(func.coalesce(func.sum(PageCheckCalls.calls + PageCheckCalls.reach_calls), 0)).where(
        PageCheckCalls.day == checked_days.c.day
    )
    query = (
        select(checked_days.c.day, *went.c, calls.scalar_subquery().label("calls"))
        .join_from(checked_days, went, true())
        .order_by(checked_days.c.day.desc())
    )
    return (await session.execute(query)).all()
