"""Routes of sources: how each page is read."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS
from services.ingest.schemas.sources import CallBudgetList, PageSourcesDetail, PageSourcesOut
from services.ingest.settings import ingest_settings
from services.ingest.sources import source_metrics, source_status
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.service import ReadTransaction

router = APIRouter()

SourceReader = Annotated[Caller, require_right(Right.SOURCES_READ)]
SourceInspector = Annotated[Caller, require_right(Right.SOURCES_INSPECT)]


@router.get("/sources", tags=["sources"], responses=LIST_PROBLEMS, summary="Pages with their sources")
async def list_sources(
    session: ReadTransaction,
    caller: SourceReader,
    filters: Annotated[source_status.SourceFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[PageSourcesOut]:
    """Return pages by name with their sources, lag, tokens, push state, errors, gaps and last reconciliation."""
    rows, keys = await source_status.list_sources(session, caller, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (keys[row.page_id], row.page_id), response)
    return Page(items=kept, next_cursor=cursor)


@router.get(
    "/sources/call-budgets",
    tags=["sources"],
    responses=LIST_PROBLEMS,
    summary="Call budgets: calls made and remaining",
)
async def list_call_budgets(session: ReadTransaction, caller: SourceInspector) -> CallBudgetList:
    """Return, for each method with a daily limit, the calls made in the last 24 hours and those left."""
    return await source_metrics.call_budgets(session, ingest_settings())


@router.get(
    "/sources/{page_id}", tags=["sources"], responses=ITEM_PROBLEMS, summary="One page with its sources, in full"
)
async def get_page_sources(session: ReadTransaction, caller: SourceReader, page_id: UUID) -> PageSourcesDetail:
    """Return one page's sources with its own tokens, recent reconciliations and last backfill."""
    return await source_status.get_source(session, caller, page_id)
