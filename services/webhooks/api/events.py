"""Route of the event feed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.webhooks.feed import event_feed
from services.webhooks.feed.positions import format_position, parse_position
from services.webhooks.schemas.events import EventFeed, FeedEvent
from services.webhooks.stream.live_stream import READ_WAIT_SECONDS, LiveStream
from services.webhooks.stream.long_poll import MAX_WAIT_SECONDS, next_events
from shared.api.query_parameters import refuse_unknown_parameters
from shared.auth.callers import Caller, require_right
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
from shared.service import ServiceDep

router = APIRouter(tags=["events"], responses=responses(Unauthenticated, Forbidden, Invalid))

EventReader = Annotated[Caller, require_right(Right.EVENTS_READ)]


@router.get(
    "/events",
    summary="The numbered feed of events",
    responses=responses(Gone, TooManyRequests, Unavailable),
    dependencies=[Depends(refuse_unknown_parameters)],
)
async def list_events(
    *,
    service: ServiceDep,
    caller: EventReader,
    after: Annotated[
        str,
        Query(
            max_length=50, description="`next_after` of the previous response; `0`: all; `now`: only new events"
        ),
    ] = "0",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    types: Annotated[
        list[str] | None,
        Query(
            max_length=100,
            description="Repeated or separated by commas; `appeal.*`: all types of a subject; left out: all types "
            "that the caller may read",
            examples=[["appeal.opened,appeal.answered", "reply.*"]],
        ),
    ] = None,
    wait: Annotated[
        int,
        Query(
            ge=0,
            le=MAX_WAIT_SECONDS,
            description="Seconds to wait for the next event if there is none after the position",
        ),
    ] = 0,
) -> EventFeed:
    """Return events in order of position, each exactly once. Organisation staff see events of their organisation.

    An unknown type or pattern gets 422. A type that needs a right the caller lacks gets 403, even if a pattern
    names it. `after=now` starts after the newest event. Events are kept for at least a year: a position whose
    events were deleted gets 410, which says where to continue.

    With `wait` the response comes as soon as there is an event that the caller may read, or without items after
    `wait` seconds. A waiting request counts as an open event stream: too many of them get 429 (of one caller or
    organisation) or 503 (of the process) with `Retry-After`. A process reads few pages of the feed at once; a
    request that would wait for longer than 10 seconds gets 503 too.
    """
    asked = [part.strip() for value in types or () for part in value.split(",")]
    event_types = event_feed.resolve_types(caller, asked)
    start = None if after == "now" else parse_position(after)
    live = service.part(LiveStream)
    if wait:
        page = await next_events(
            live,
            service.database,
            caller,
            after=start,
            limit=limit,
            types=event_types,
            seconds=wait,
        )
    else:
        async with live.reading(within=READ_WAIT_SECONDS), service.database.read() as session:
            if start is None:
                start = await event_feed.last_position(session)
            page = await event_feed.read_events(session, caller, after=start, limit=limit, types=event_types)
    return EventFeed(
        items=[FeedEvent.of_row(event) for event in page.events], next_after=format_position(page.reached)
    )
