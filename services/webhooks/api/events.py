"""Route of the event feed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.webhooks.feed import event_feed
from services.webhooks.feed.positions import format_position, parse_position
from services.webhooks.schemas.events import EventFeed, FeedEvent
from shared.api.query_parameters import refuse_unknown_parameters
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http.problems import Forbidden, Gone, Invalid, Unauthenticated, responses
from shared.service import ReadTransaction

router = APIRouter(tags=["events"], responses=responses(Unauthenticated, Forbidden, Invalid))

EventReader = Annotated[Caller, require_right(Right.EVENTS_READ)]


@router.get(
    "/events",
    summary="The numbered feed of events",
    responses=responses(Gone),
    dependencies=[Depends(refuse_unknown_parameters)],
)
async def list_events(
    session: ReadTransaction,
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
) -> EventFeed:
    """Return events in order of position, each exactly once. Organisation staff see events of their organisation.

    An unknown type or pattern answers 422, a type that needs a right the caller lacks 403, also one that a pattern
    names. `after=now` returns no items and the `next_after` from which only newer events follow. Events are kept
    for at least a year: a reader that was away longer gets 410, which says where to continue.
    """
    asked = [part.strip() for value in types or () for part in value.split(",")]
    event_types = event_feed.resolve_types(caller, asked)
    if after == "now":
        return EventFeed(items=[], next_after=format_position(await event_feed.last_position(session)))
    events_read, reached = await event_feed.read_events(
        session, caller, after=parse_position(after), limit=limit, types=event_types
    )
    return EventFeed(items=[FeedEvent.of_row(event) for event in events_read], next_after=format_position(reached))
