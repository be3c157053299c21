"""Routes of the quarantine: payloads that could not be parsed."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS
from services.ingest.intake import quarantine
from services.ingest.schemas.quarantine import (
    QuarantinedPayloadDetail,
    QuarantinedPayloadOut,
    QuarantineRetryResult,
)
from shared.api.pagination import Page, PagingDep
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import Conflict
from shared.networks import NetworkName
from shared.service import ReadTransaction, WriteTransaction
from shared.tables.ingest import QuarantinedPayload

router = APIRouter(tags=["sources"])

SourceReader = Annotated[Caller, require_right(Right.SOURCES_READ)]
SourceInspector = Annotated[Caller, require_right(Right.SOURCES_INSPECT)]
SourceManager = Annotated[Caller, require_right(Right.SOURCES_MANAGE)]


@router.get("/sources/quarantine", responses=LIST_PROBLEMS, summary="Quarantined payloads, newest first")
async def list_quarantined_payloads(
    session: ReadTransaction,
    caller: SourceReader,
    paging: PagingDep,
    response: Response,
    *,
    network: NetworkName | None = None,
    page_id: UUID | None = None,
) -> Page[QuarantinedPayloadOut]:
    """Return quarantined payloads, newest first, with the parse error, the source and the time."""
    exact = {QuarantinedPayload.network: network, QuarantinedPayload.page_id: page_id}
    conditions = [column == value for column, value in exact.items() if value is not None]
    rows = await quarantine.list_quarantined(session, caller, paging, conditions)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=kept, next_cursor=cursor)


@router.get("/sources/quarantine/{payload_id}", responses=ITEM_PROBLEMS, summary="One quarantined payload")
async def get_quarantined_payload(
    session: ReadTransaction, caller: SourceInspector, payload_id: UUID
) -> QuarantinedPayloadDetail:
    """Return one entry with the raw payload, which may contain a citizen's text and name."""
    return await quarantine.get_quarantined(session, caller, payload_id)


@router.post(
    "/sources/quarantine/{payload_id}/retry",
    responses=ITEM_PROBLEMS | problems.responses(Conflict),
    summary="Parse a quarantined payload again",
)
async def retry_quarantined_payload(
    session: WriteTransaction, caller: SourceManager, payload_id: UUID
) -> QuarantineRetryResult:
    """Parse the pushed event again with the current parsers.

    If that fails, it stays in quarantine and the 409 gives the reason.
    """
    return await quarantine.retry_quarantined(session, caller, payload_id)
