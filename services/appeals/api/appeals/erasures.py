"""The route that ingest calls to erase a citizen's data."""

from typing import Annotated

from fastapi import APIRouter

from services.appeals.erasure.appeal_rows import erase_appeals
from shared.auth.callers import ServiceCaller, require_service
from shared.contracts.erasures import AuthorErasedSoFar, EraseAuthor
from shared.service import UncheckedWriteTransaction

internal = APIRouter(prefix="/internal/erasures/appeals", include_in_schema=False)
IngestService = Annotated[ServiceCaller, require_service("ingest")]


@internal.post("")
async def erase_author(
    session: UncheckedWriteTransaction, caller: IngestService, body: EraseAuthor
) -> AuthorErasedSoFar:
    """Erase the next batch of an author's appeals. Ingest repeats the request until nothing is left.
    Idempotent.
    """
    return await erase_appeals(session, body)
