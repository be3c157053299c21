"""Routes: parse, authorise, call one domain function, answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.ingest import messages, publications, sources, tokens
from services.ingest.schemas import (
    MessageDetail,
    MessageKind,
    MessageOut,
    NetworkName,
    PublicationAsked,
    PublicationIn,
    PublicationOut,
    PublicationStatus,
    SourceOut,
    TokenIn,
    TokenList,
    TokenOut,
)
from shared import problems
from shared.access import Caller, Right, ServiceCallerDep, allowed
from shared.jobs import Jobs
from shared.pagination import Page, PagingDep
from shared.problems import BadRequest, Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from shared.service import Reading, Service, ServiceDep, Writing
from shared.tables import registry
from shared.tables.ingest import Message, Publication

router = APIRouter()
internal = APIRouter(prefix="/internal/publications", include_in_schema=False)

MessageReader = Annotated[Caller, allowed(Right.MESSAGES_READ)]
SourceReader = Annotated[Caller, allowed(Right.SOURCES_READ)]
SourceManager = Annotated[Caller, allowed(Right.SOURCES_MANAGE)]
PublicationReader = Annotated[Caller, allowed(Right.APPEALS_READ)]
PublicationSender = Annotated[Caller, allowed(Right.APPEALS_ANSWER)]

READING = problems.responses(Unauthenticated, Forbidden, Invalid)
ONE = problems.responses(Unauthenticated, Forbidden, NotFound, Invalid)


def _jobs(service: Service) -> Jobs:
    if service.jobs is None:
        raise RuntimeError("ingest has no job queue")
    return service.jobs


@router.get("/messages", tags=["messages"], responses=READING, summary="What came in, last received first")
async def list_messages(
    session: Reading,
    caller: MessageReader,
    paging: PagingDep,
    response: Response,
    *,
    network: NetworkName | None = None,
    kind: MessageKind | None = None,
    page_id: UUID | None = None,
    organisation_id: UUID | None = None,
    thread_key: Annotated[str | None, Query(max_length=200)] = None,
    history: Annotated[bool | None, Query(description="Written before the page's go-live moment")] = None,
    from_community: bool | None = None,
    deleted_by: Annotated[str | None, Query(pattern="^(author|community|unknown)$")] = None,
    received_from: Annotated[datetime | None, Query(description="RFC 3339 with offset, included")] = None,
    received_to: Annotated[datetime | None, Query(description="RFC 3339 with offset, not included")] = None,
) -> Page[MessageOut]:
    """Comments, wall posts and private messages of citizens, and the community's own words."""
    exact = {
        Message.network: network,
        Message.kind: kind,
        Message.page_id: page_id,
        Message.organisation_id: organisation_id,
        Message.thread_key: thread_key,
        Message.history: history,
        Message.from_community: from_community,
        Message.deleted_by: deleted_by,
    }
    conditions = [column == value for column, value in exact.items() if value is not None]
    for name, moment in (("received_from", received_from), ("received_to", received_to)):
        if moment is not None and moment.tzinfo is None:
            raise Invalid.field(f"query/{name}", "The time has no offset")
    if received_from is not None:
        conditions.append(Message.received_at >= received_from)
    if received_to is not None:
        conditions.append(Message.received_at < received_to)
    rows = await messages.listed(session, caller, paging, conditions)
    kept, cursor = paging.page(rows, lambda row: (row.received_at, row.id), response)
    return Page(items=[messages.shown(row) for row in kept], next_cursor=cursor)


@router.get("/messages/{message_id}", tags=["messages"], responses=ONE, summary="One message, all its texts")
async def get_message(session: Reading, caller: MessageReader, message_id: UUID) -> MessageDetail:
    """The words, where they stand, and the versions before each edit."""
    return await messages.find(session, caller, message_id)


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


@router.get("/sources/tokens", tags=["sources"], responses=READING, summary="States of the credentials")
async def list_tokens(session: Reading, caller: SourceManager, page_id: UUID | None = None) -> TokenList:
    """Which credentials there are and whether the networks accept them; the secrets are never shown."""
    return TokenList(items=[TokenOut.model_validate(row) for row in await tokens.listed(session, page_id)])


@router.post(
    "/sources/tokens",
    tags=["sources"],
    status_code=201,
    responses={
        200: {"model": TokenOut, "description": "Known already; it counts as healthy again"},
        **problems.responses(BadRequest, Unauthenticated, Forbidden, Invalid),
    },
    summary="Add a credential",
)
async def add_token(session: Writing, caller: SourceManager, given: TokenIn, response: Response) -> TokenOut:
    """Write-only: it is encrypted, used within seconds, and never shown again."""
    row, new = await tokens.add(session, given)
    if not new:
        response.status_code = 200
    return TokenOut.model_validate(row)


@router.get("/publications", tags=["publications"], responses=READING, summary="Answers on their way")
async def list_publications(
    session: Reading,
    caller: PublicationReader,
    paging: PagingDep,
    response: Response,
    *,
    status: PublicationStatus | None = None,
    network: NetworkName | None = None,
    page_id: UUID | None = None,
    organisation_id: UUID | None = None,
    reply_id: UUID | None = None,
) -> Page[PublicationOut]:
    """Newest first; `status=failed` are those that wait for a person."""
    exact = {
        Publication.status: status,
        Publication.network: network,
        Publication.page_id: page_id,
        Publication.organisation_id: organisation_id,
        Publication.reply_id: reply_id,
    }
    conditions = [column == value for column, value in exact.items() if value is not None]
    rows = await publications.listed(session, caller, paging, conditions)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[PublicationOut.model_validate(row) for row in kept], next_cursor=cursor)


@router.get("/publications/{publication_id}", tags=["publications"], responses=ONE, summary="One answer")
async def get_publication(session: Reading, caller: PublicationReader, publication_id: UUID) -> PublicationOut:
    """Its status, attempts, and why it failed if it did."""
    return PublicationOut.model_validate(await publications.find(session, caller, publication_id))


@router.post(
    "/publications/{publication_id}/retry",
    tags=["publications"],
    status_code=202,
    responses=ONE | problems.responses(Conflict),
    summary="Send a failed answer again",
)
async def retry_publication(
    session: Writing, caller: PublicationSender, service: ServiceDep, publication_id: UUID
) -> PublicationOut:
    """Puts it back into the queue; one that has not failed is left as it is (409)."""
    row = await publications.retry(session, _jobs(service), publication_id, caller)
    return PublicationOut.model_validate(row)


@internal.post("", status_code=201)
async def request_publication(
    session: Writing,
    caller: ServiceCallerDep,
    service: ServiceDep,
    wanted: PublicationIn,
    response: Response,
) -> PublicationAsked:
    """Another service asks for an answer to be published; idempotent by `reply_id`."""
    row, new = await publications.request(session, _jobs(service), wanted)
    if not new:
        response.status_code = 200
    return PublicationAsked.model_validate(row)


@internal.post("/{publication_id}/retry", status_code=202)
async def retry_for_service(
    session: Writing, caller: ServiceCallerDep, service: ServiceDep, publication_id: UUID
) -> PublicationAsked:
    """Another service asks for a failed answer to be sent again."""
    return PublicationAsked.model_validate(await publications.retry(session, _jobs(service), publication_id))
