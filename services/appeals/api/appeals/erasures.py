"""The routes that ingest calls to erase a citizen's data."""

from typing import Annotated

from fastapi import APIRouter

from services.appeals.erasure.appeal_rows import erase_appeals
from services.appeals.erasure.quotations import erase_quotations
from services.appeals.erasure.reply_links import erase_reply_links
from shared.auth.callers import ServiceCaller, require_service
from shared.contracts.erasures import AuthorErasedSoFar, EraseAuthor, EraseQuotations, QuotationsErased
from shared.service import UncheckedWriteTransaction

internal = APIRouter(prefix="/internal/erasures", include_in_schema=False)
IngestService = Annotated[ServiceCaller, require_service("ingest")]


@internal.post("/appeals")
async def erase_author(
    session: UncheckedWriteTransaction, caller: IngestService, body: EraseAuthor
) -> AuthorErasedSoFar:
    """Erase the next batch of an author's appeals. Ingest repeats the request until nothing is left.
    Idempotent.
    """
    return await erase_appeals(session, body)


@internal.post("/quotations")
async def erase_quotations_of_author(
    session: UncheckedWriteTransaction, caller: IngestService, body: EraseQuotations
) -> QuotationsErased:
    """Take over texts of messages that quoted or named an author; remove links from replies. Idempotent."""
    # First: it locks replies to incidents before appeals, as the jobs that copy them do.
    await erase_reply_links(session, body.replies)
    return QuotationsErased(appeal_ids=await erase_quotations(session, body.message_ids))
