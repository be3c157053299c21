"""Routes of sources: how each page is read."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.ingest import sources
from services.ingest.api.common import READING
from services.ingest.schemas import SourceOut
from shared.access import Caller, Right, allowed
from shared.networks import NetworkName
from shared.pagination import Page, PagingDep
from shared.service import Reading
from shared.tables import registry

router = APIRouter()

SourceReader = Annotated[Caller, allowed(Right.SOURCES_READ)]


@router.get("/sources", tags=["sources"], responses=READING, summary="How each page is read")
async def list_sources(
    session: Reading,
    caller: SourceReader,
    paging: PagingDep,
    response: Response,
    *,
    network: NetworkName | None = None,
    organisation_id: UUID | None = None,
    page_id: UUID | None = None,
) -> Page[SourceOut]:
    """Pages by name: ways in, last success, lag, last error."""
    exact = {
        registry.Page.network: network,
        registry.Page.organisation_id: organisation_id,
        registry.Page.id: page_id,
    }
    conditions = [column == value for column, value in exact.items() if value is not None]
    rows, keys = await sources.listed(session, caller, paging, conditions)
    kept, cursor = paging.page(rows, lambda row: (keys[row.page_id], row.page_id), response)
    return Page(items=kept, next_cursor=cursor)
