"""Routes of backfills: fetch a page's history on demand."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS
from services.ingest.schemas.sync import BackfillIn, BackfillOut, BackfillStatus
from services.ingest.sync import backfill_requests
from shared.api.pagination import Page, PagingDep
from shared.api.response_headers import with_headers
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import BadRequest, Conflict, InFlight, KeyReused
from shared.service import Once, ReadTransaction, WriteTransaction
from shared.tables.ingest import Backfill

router = APIRouter()

SourceReader = Annotated[Caller, require_right(Right.SOURCES_READ)]
SourceManager = Annotated[Caller, require_right(Right.SOURCES_MANAGE)]

CHANGE_PROBLEMS = ITEM_PROBLEMS | problems.responses(Conflict)


@router.post(
    "/sources/{page_id}/backfills",
    tags=["sources"],
    status_code=202,
    responses=CHANGE_PROBLEMS
    | problems.responses(BadRequest, Conflict, InFlight, KeyReused)
    | with_headers(202, "Location"),
    summary="Backfill a page's history",
)
async def request_backfill(
    *,
    session: WriteTransaction,
    caller: SourceManager,
    page_id: UUID,
    body: BackfillIn,
    once: Once,
    response: Response,
) -> BackfillOut:
    """Queue a backfill. A page has at most one unfinished backfill: if there is one, the response is 409 with its
    `backfill_id`.

    Messages written before the page's go-live time open no appeals unless `open_appeals` is true.
    """

    async def work() -> BackfillOut:
        return BackfillOut.model_validate(await backfill_requests.request_backfill(session, caller, page_id, body))

    requested = await once(BackfillOut, work)
    response.headers["Location"] = f"/api/v1/sources/backfills/{requested.id}"
    return requested


@router.get("/sources/backfills", tags=["sources"], responses=LIST_PROBLEMS, summary="Backfills, newest first")
async def list_backfills(
    session: ReadTransaction,
    caller: SourceReader,
    paging: PagingDep,
    response: Response,
    *,
    page_id: UUID | None = None,
    status: BackfillStatus | None = None,
) -> Page[BackfillOut]:
    """Return the backfills the caller may see, newest first, with their progress."""
    exact = {Backfill.page_id: page_id, Backfill.status: status}
    conditions = [column == value for column, value in exact.items() if value is not None]
    rows = await backfill_requests.list_backfills(session, caller, paging, conditions)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[BackfillOut.model_validate(row) for row in kept], next_cursor=cursor)


@router.get(
    "/sources/backfills/{backfill_id}",
    tags=["sources"],
    responses=ITEM_PROBLEMS,
    summary="One backfill with its progress",
)
async def get_backfill(session: ReadTransaction, caller: SourceReader, backfill_id: UUID) -> BackfillOut:
    """Return the backfill's status, progress and counts, and, if it waits, the reason."""
    return BackfillOut.model_validate(await backfill_requests.get_backfill(session, caller, backfill_id))


@router.post(
    "/sources/backfills/{backfill_id}/cancel",
    tags=["sources"],
    responses=CHANGE_PROBLEMS,
    summary="Cancel a backfill",
)
async def cancel_backfill(session: WriteTransaction, caller: SourceManager, backfill_id: UUID) -> BackfillOut:
    """Cancel the backfill. Messages it has stored are kept; a finished backfill gets 409."""
    return BackfillOut.model_validate(await backfill_requests.cancel_backfill(session, caller, backfill_id))
