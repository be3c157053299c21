"""Routes of reconciliations: comparisons of the stored messages with the network."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS
from services.ingest.schemas.sync import (
    ReconciliationIn,
    ReconciliationOut,
    ReconciliationsIn,
    ReconciliationsRequested,
    ReconciliationSummary,
)
from services.ingest.settings import ingest_settings
from services.ingest.sync import reconciliation_requests
from shared import clock
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import BadRequest, Conflict, InFlight, KeyReused
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables import registry

router = APIRouter()

SourceReader = Annotated[Caller, require_right(Right.SOURCES_READ)]
SourceManager = Annotated[Caller, require_right(Right.SOURCES_MANAGE)]
ReconciliationQuery = Annotated[reconciliation_requests.ReconciliationFilter, Query()]

IDEMPOTENCY_PROBLEMS = problems.responses(BadRequest, InFlight, KeyReused)


@router.post(
    "/sources/reconciliations",
    tags=["sources"],
    status_code=202,
    responses=LIST_PROBLEMS | IDEMPOTENCY_PROBLEMS,
    summary="Reconcile all pages now",
)
async def request_reconciliations(
    *,
    session: WriteTransaction,
    caller: SourceManager,
    body: ReconciliationsIn = ReconciliationsIn(),
    once: Once,
) -> ReconciliationsRequested:
    """Queue a reconciliation of every active page, or of every active page of one network."""

    async def work() -> ReconciliationsRequested:
        reconciliation_requests.validate_since(body.since)
        started_at = clock.now()
        conditions = [caller.scope(registry.Page.organisation_id)]
        if body.network is not None:
            conditions.append(registry.Page.network == body.network)
        overlap = ingest_settings().reconcile_overlap_seconds
        requested = await reconciliation_requests.create_reconciliations(
            session, conditions, overlap, body.since, started_at
        )
        return ReconciliationsRequested(page_count=len(requested), started_at=started_at)

    return await once(ReconciliationsRequested, work)


@router.get(
    "/sources/reconciliations",
    tags=["sources"],
    responses=LIST_PROBLEMS,
    summary="Reconciliations, last started first",
)
async def list_reconciliations(
    session: ReadTransaction,
    caller: SourceReader,
    filters: ReconciliationQuery,
    paging: PagingDep,
    response: Response,
    *,
    with_gaps: Annotated[bool, Query(description="Only those that found gaps")] = False,
) -> Page[ReconciliationOut]:
    """Return reconciliations, last started first, with the number of gaps each found."""
    rows = await reconciliation_requests.list_reconciliations(
        session, caller, filters, paging, with_gaps=with_gaps
    )
    kept, cursor = paging.page(rows, lambda row: (row.started_at, row.id), response)
    return Page(items=[ReconciliationOut.model_validate(row) for row in kept], next_cursor=cursor)


@router.get(
    "/sources/reconciliations/summary",
    tags=["sources"],
    responses=LIST_PROBLEMS,
    summary="Totals of reconciliations",
)
async def get_reconciliation_summary(
    session: ReadTransaction,
    caller: SourceReader,
    filters: ReconciliationQuery,
) -> ReconciliationSummary:
    """Return how many reconciliations were requested and finished, and their total counts."""
    return await reconciliation_requests.summarize(session, caller, filters)


@router.post(
    "/sources/{page_id}/reconciliations",
    tags=["sources"],
    status_code=202,
    responses=ITEM_PROBLEMS | IDEMPOTENCY_PROBLEMS | problems.responses(Conflict, InFlight),
    summary="Reconcile a page now",
)
async def request_reconciliation(
    *,
    session: WriteTransaction,
    caller: SourceManager,
    page_id: UUID,
    body: ReconciliationIn = ReconciliationIn(),
    once: Once,
) -> ReconciliationOut:
    """Queue a reconciliation of one page outside the daily schedule.

    Missing messages are stored; one older than the grace period counts as a gap.
    """

    async def work() -> ReconciliationOut:
        overlap = ingest_settings().reconcile_overlap_seconds
        row = await reconciliation_requests.request_reconciliation(session, caller, page_id, body.since, overlap)
        return ReconciliationOut.model_validate(row)

    return await once(ReconciliationOut, work)


@router.get(
    "/sources/{page_id}/reconciliations",
    tags=["sources"],
    responses=LIST_PROBLEMS,
    summary="Reconciliations of a page, last started first",
)
async def list_reconciliations_of_page(
    session: ReadTransaction, caller: SourceReader, page_id: UUID, paging: PagingDep, response: Response
) -> Page[ReconciliationOut]:
    """Return the page's reconciliations, last started first; empty for a page the caller may not see."""
    filters = reconciliation_requests.ReconciliationFilter(page_id=page_id)
    rows = await reconciliation_requests.list_reconciliations(session, caller, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (row.started_at, row.id), response)
    return Page(items=[ReconciliationOut.model_validate(row) for row in kept], next_cursor=cursor)
