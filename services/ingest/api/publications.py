"""Routes of publications: appeals requests them, people list and retry them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS, jobs_of
from services.ingest.publishing import change_requests, publication_requests
from services.ingest.publishing.shown_publications import list_items, publication_out
from services.ingest.schemas.publications import (
    PublicationChangeRequest,
    PublicationChangeRequested,
    PublicationOut,
    PublicationRequest,
    PublicationRequested,
    PublicationRetry,
)
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import set_etag
from shared.auth.callers import Caller, ServiceCaller, require_right, require_service
from shared.auth.rights import Right
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.http import problems
from shared.http.problems import Conflict, Forbidden, Invalid
from shared.service import ReadTransaction, ServiceDep, UncheckedWriteTransaction, WriteTransaction

router = APIRouter()
internal = APIRouter(prefix="/internal/publications", include_in_schema=False)
AppealsService = Annotated[ServiceCaller, require_service("appeals")]
# The webhooks service notifies people of events in the conversation in which they linked their account.
PublishingService = Annotated[ServiceCaller, require_service("appeals", "webhooks")]

PublicationReader = Annotated[Caller, require_right(Right.APPEALS_READ)]
PublicationSender = Annotated[Caller, require_right(Right.APPEALS_ANSWER)]


@router.get("/publications", tags=["publications"], responses=LIST_PROBLEMS, summary="Publications, newest first")
async def list_publications(
    session: ReadTransaction,
    caller: PublicationReader,
    filters: Annotated[publication_requests.PublicationFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[PublicationOut]:
    """Return publications, newest first, with masked texts. Those with `status=failed` are sent again only on
    request.

    Messages with notices to colleagues are shown to the centre only.
    """
    rows = await publication_requests.list_publications(session, caller, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=list_items(caller, kept), next_cursor=cursor)


@router.get(
    "/publications/{publication_id}", tags=["publications"], responses=ITEM_PROBLEMS, summary="One publication"
)
async def get_publication(
    session: ReadTransaction, caller: PublicationReader, publication_id: UUID, response: Response
) -> PublicationOut:
    """Return one publication with its text, status, attempts and failure reason."""
    row = await publication_requests.get_publication(session, caller, publication_id)
    set_etag(response, row.version)
    return publication_out(session, caller, row)


@router.post(
    "/publications/{publication_id}/retry",
    tags=["publications"],
    status_code=202,
    responses=ITEM_PROBLEMS | problems.responses(Conflict),
    summary="Retry a failed publication",
)
async def retry_publication(
    *,
    session: WriteTransaction,
    caller: PublicationSender,
    service: ServiceDep,
    publication_id: UUID,
    response: Response,
    body: PublicationRetry | None = None,
) -> PublicationOut:
    """Queue all failed parts of the reply again.

    A publication that has not failed gets 409, and so does a message with notices, which may have been sent by
    e-mail. A part that was already sent becomes `uncertain`: it is sent again only if the thread lacks it.

    The appeal of the reply must be the caller's: the former organisation of a transferred appeal gets 404. The
    response is 409 if the appeal was merged, if the answered message was moved to another appeal, or if another
    reply to the appeal is under way.

    The text belongs to the appeal: send a corrected `text` to `POST /appeals/{id}/replies/{reply_id}/retry`.
    """
    if body is not None and body.text is not None:
        detail = "Correct the text in the appeal: POST /api/v1/appeals/{id}/replies/{reply_id}/retry"
        raise Invalid.field("/text", detail)
    row = await publication_requests.retry_publication(session, jobs_of(service), publication_id, caller=caller)
    set_etag(response, row.version)
    return publication_out(session, caller, row)


@internal.post("", status_code=201)
async def request_publication(
    session: UncheckedWriteTransaction,
    caller: PublishingService,
    service: ServiceDep,
    body: PublicationRequest,
    response: Response,
) -> PublicationRequested:
    """Create the publications of a reply. Idempotent by `reply_id`: a repeated request gets 200.

    The webhooks service may send only notices: its key cannot publish on behalf of a person.
    """
    if (caller.service == "webhooks") != (body.on_behalf_of == NOTICES_ACTOR):
        raise Forbidden("Only the webhooks service sends notices, and it may send nothing else")
    row, new = await publication_requests.request_publication(session, jobs_of(service), body)
    if not new:
        response.status_code = 200
    return PublicationRequested.model_validate(row)


@internal.post("/{publication_id}/retry", status_code=202)
async def retry_for_service(
    session: UncheckedWriteTransaction,
    caller: AppealsService,
    service: ServiceDep,
    publication_id: UUID,
    body: PublicationRetry | None = None,
) -> PublicationRequested:
    """Queue a failed reply again, with the corrected text if the body has one."""
    row = await publication_requests.retry_publication(
        session, jobs_of(service), publication_id, text=body.text if body else None
    )
    return PublicationRequested.model_validate(row)


@internal.post("/{publication_id}/changes", status_code=201)
async def request_change(
    *,
    session: UncheckedWriteTransaction,
    caller: AppealsService,
    service: ServiceDep,
    publication_id: UUID,
    body: PublicationChangeRequest,
    response: Response,
) -> PublicationChangeRequested:
    """Edit or withdraw a published reply. Idempotent by `id`: a repeated request gets 200."""
    row, new = await change_requests.request_change(session, jobs_of(service), publication_id, body)
    if not new:
        response.status_code = 200
    return PublicationChangeRequested.model_validate(row)
