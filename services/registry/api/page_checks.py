"""Routes of the daily page checks."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.registry.api.common import COMMON_ERRORS, NOT_FOUND_ERROR, RegistryReader
from services.registry.page_checks import check_history
from services.registry.schemas.fields import OrganisationRef
from services.registry.schemas.page_checks import (
    CheckedPage,
    PageCheck,
    PageCheckDay,
    PageCheckWithPage,
    PageSnapshot,
)
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.service import ReadTransaction
from shared.tables import registry as tables

router = APIRouter(prefix="/pages", tags=["pages"], responses=COMMON_ERRORS)

CheckDayQuery = Annotated[
    date | None, Query(description="Day in the region's time zone; left out: today", examples=["2026-11-25"])
]


@router.get("/checks", summary="Page checks of a day")
async def list_page_checks(
    *,
    session: ReadTransaction,
    _caller: RegistryReader,
    filters: Annotated[check_history.PageCheckFilter, Query()],
    paging: PagingDep,
    response: Response,
    day: CheckDayQuery = None,
) -> Page[PageCheckWithPage]:
    """Return the checks of a day by page name.

    `changed=true` selects pages with changes; `field=verified` selects pages that got or lost their network badge.
    """
    rows = await check_history.list_of_day(session, day or clock.today(), filters, paging)
    items, cursor = paging.page(rows, lambda row: (row[1].sort_key, row[1].id), response)
    return Page(items=[_of_day(*row) for row in items], next_cursor=cursor)


@router.get("/checks/days", summary="Totals of the daily checks")
async def list_page_check_days(
    session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[PageCheckDay]:
    """Return per day, newest first: pages checked, pages changed, and calls to the networks."""
    rows = await check_history.list_daily_totals(session, paging)
    items, cursor = paging.page(rows, lambda row: (row.day.isoformat(),), response)
    return Page(items=[PageCheckDay(**row._mapping) for row in items], next_cursor=cursor)


@router.get("/{page_id}/checks", summary="Checks of a page, day by day", responses=NOT_FOUND_ERROR)
async def list_checks_of_page(
    page_id: UUID, session: ReadTransaction, _caller: RegistryReader, paging: PagingDep, response: Response
) -> Page[PageCheck]:
    """Return the checks of the page, newest first."""
    rows = await check_history.list_of_page(session, page_id, paging)
    items, cursor = paging.page(rows, lambda row: (row.day.isoformat(), row.id), response)
    return Page(items=[PageCheck(**_check(row)) for row in items], next_cursor=cursor)


def _check(row: tables.PageCheck) -> dict[str, object]:
    return {
        "day": row.day,
        "checked_at": row.checked_at,
        "state": row.state,
        "reason": row.reason,
        "snapshot": PageSnapshot.model_validate(row.snapshot),
        "changes": row.changes,
        "calls": row.calls,
    }


def _of_day(row: tables.PageCheck, page: tables.Page, organisation: tables.Organisation) -> PageCheckWithPage:
    checked = CheckedPage(
        id=page.id,
        network=page.network,
        external_id=page.external_id,
        name=page.name,
        url=page.url,
        organisation=OrganisationRef(id=organisation.id, name=organisation.name),
    )
    return PageCheckWithPage.model_validate({**_check(row), "page": checked})
