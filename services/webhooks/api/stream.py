"""Routes of the event stream: open it, and get a ticket for a browser's `EventSource`."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from services.webhooks.feed import event_feed
from services.webhooks.feed.positions import parse_position
from services.webhooks.schemas.stream import StreamTicket
from services.webhooks.settings import webhooks_settings
from services.webhooks.stream.event_stream import EventStream
from services.webhooks.stream.frames import example
from services.webhooks.stream.listener import Listener
from services.webhooks.stream.live_stream import READ_WAIT_SECONDS, LiveStream, Slot
from services.webhooks.stream.tickets import create_ticket, ticket_subject, use_ticket
from shared.api.query_parameters import refuse_unknown_parameters
from shared.auth import token_recheck
from shared.auth.callers import AUTHENTICATED, Caller, check_rate_limit, require_right, set_log_context
from shared.auth.rights import Right
from shared.http.problems import (
    Forbidden,
    Gone,
    Invalid,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    responses,
)
from shared.service import ServiceDep, WriteTransaction

router = APIRouter(prefix="/stream", tags=["events"], responses=responses(Unauthenticated, Forbidden, Invalid))


async def _slot_by_ticket(
    request: Request,
    service: ServiceDep,
    ticket: Annotated[
        str | None,
        Query(max_length=200, description="A ticket of `POST /stream/tickets`, instead of an access token"),
    ] = None,
) -> AsyncIterator[Slot | None]:
    """Authenticate the caller by the ticket, if there is one. A refusal by a limit does not use it up."""
    if ticket is None:
        yield None
        return
    set_log_context(request, None)
    subject = ticket_subject(ticket)
    check_rate_limit(request, subject)
    live = service.part(LiveStream)
    with live.reserve(subject) as slot:
        async with live.reading(within=READ_WAIT_SECONDS), service.database.write() as session:
            caller = await use_ticket(session, ticket)
            # Within the transaction, so that a refusal leaves the ticket unused.
            live.count_organisation(slot, caller.organisation_id)
            request.scope[AUTHENTICATED] = caller
        yield slot


# The ticket identifies the caller, so it is used before the right is checked.
SlotByTicket = Annotated[Slot | None, Depends(_slot_by_ticket)]
EventReader = Annotated[Caller, require_right(Right.EVENTS_READ)]


async def _slot(by_ticket: SlotByTicket, caller: EventReader, service: ServiceDep) -> AsyncIterator[Slot]:
    """Hold one of the process's stream slots until the response has ended."""
    if by_ticket is not None:
        yield by_ticket
        return
    live = service.part(LiveStream)
    with live.reserve(caller.subject) as slot:
        live.count_organisation(slot, caller.organisation_id)
        yield slot


@router.get(
    "",
    summary="The events as they happen (server-sent events)",
    response_class=StreamingResponse,
    responses=responses(Gone, TooManyRequests, Unavailable)
    | {
        200: {
            "description": "Messages until either side ends the stream: `stream.opened`, events by their type, "
            "comments as heartbeats, `stream.ended`",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": example()}},
        }
    },
    dependencies=[Depends(refuse_unknown_parameters)],
)
async def stream_events(
    *,
    request: Request,
    _ticket: SlotByTicket,
    caller: EventReader,
    slot: Annotated[Slot, Depends(_slot)],
    service: ServiceDep,
    after: Annotated[
        str,
        Query(max_length=50, description="The `id` of the last message that you have; `0`: all; `now`: new ones"),
    ] = "now",
    types: Annotated[
        list[str] | None,
        Query(
            alias="type",
            max_length=100,
            description="Repeated or separated by commas; `appeal.*`: all types of a subject; left out: all types "
            "that the caller may read",
            examples=[["appeal.opened,appeal.answered", "reply.*"]],
        ),
    ] = None,
    appeal_id: Annotated[UUID | None, Query(description="Only events of this appeal")] = None,
    last_event_id: Annotated[
        str | None,
        Header(max_length=50, description="Like `after`, which it overrides; browsers send it by themselves"),
    ] = None,
) -> EventStream:
    """Send the events of the feed as they happen: `id` is the position, `event` the type, `data` the event.

    Organisation staff get events of their organisation. After a break open the stream again with
    `Last-Event-ID`: no event is lost or sent twice. After 15 seconds without events a comment is sent. The stream
    ends when the access token expires, or the caller's access changes: the last message, `stream.ended`, has the
    reason. A caller that reads nothing for 30 seconds is disconnected. A position whose events were deleted gets
    410. A request without the `Authorization` header gets a stream that ends with the reason `gone` instead:
    `EventSource` hides the status.
    """
    asked = [part.strip() for value in types or () for part in value.split(",")]
    wanted = event_feed.resolve_types(caller, asked, "type")
    start, at_end = None, False
    if last_event_id:
        start = parse_position(last_event_id, "header/Last-Event-ID", "Expected the `id` of a message")
    elif after != "now":
        start = parse_position(after)
    live = service.part(LiveStream)
    listener = Listener(caller, wanted, subject_id=appeal_id, capacity=webhooks_settings().stream_buffer_events)
    live.register_listener(slot, listener)
    async with live.reading(within=READ_WAIT_SECONDS), service.database.read() as session:
        if start is None:
            start, at_end = await event_feed.last_position(session), True
        elif "authorization" in request.headers:  # `EventSource` sends no header, and hides a status 410
            await event_feed.refuse_expired(session, start)
        # Checked after the position is read: the event of a later change of access is after the position.
        if not await token_recheck.callers_with_access(session, [caller]):
            raise token_recheck.access_changed()
    return EventStream(live, service.database, listener, start, at_end=at_end)


@router.post("/tickets", status_code=201, summary="Get a ticket for one event stream")
async def create_stream_ticket(session: WriteTransaction, caller: EventReader) -> StreamTicket:
    """Return a secret that opens one stream within a minute: `new EventSource("/api/v1/stream?ticket=…")`.

    The stream shows what the caller may read, and ends with the caller's access token.
    """
    return StreamTicket(
        ticket=await create_ticket(session, caller), expires_in=webhooks_settings().stream_ticket_seconds
    )
