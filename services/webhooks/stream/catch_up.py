"""Catch-up: read events from the database, page by page, until a listener reaches the live tail."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.feed import event_feed
from services.webhooks.schemas.stream import StreamEndReason
from services.webhooks.stream.listener import Listener
from shared.auth import token_recheck
from shared.tables.common import Event

PAGE = 200
# How many events one page scans, visible or not: a page for a caller who sees few events must end too.
WINDOW = 5_000


@dataclass(frozen=True)
class CatchUpPage:
    """Events for a listener, and the position up to which they were read.

    `end` is the position of the last event when the page reached it, otherwise None. It is less than `reached` for
    a client whose position is beyond the last event.
    """

    events: Sequence[Event]
    reached: int
    end: int | None


async def read_page(session: AsyncSession, listener: Listener, after: int) -> CatchUpPage:
    """Return the next events for a listener. Raise `Gone` when events after the position were deleted.

    If the caller's access has changed, end the stream and return no events.
    """
    await event_feed.refuse_expired(session, after)
    following = select(func.min(Event.position)).where(Event.position > after).scalar_subquery()
    newest = select(func.coalesce(func.max(Event.position), 0)).scalar_subquery()
    first, last = (await session.execute(select(following, newest))).one()
    if first is None:
        return CatchUpPage([], after, end=last)
    # An index finds the events of one subject, so no window is needed. Positions have gaps: a window of positions
    # contains at most as many events.
    until = last if listener.subject_id is not None else min(first + WINDOW - 1, last)
    events = await event_feed.read_range(
        session,
        listener.caller,
        after=after,
        until=until,
        types=listener.types,
        subject_id=listener.subject_id,
        limit=PAGE,
    )
    # Checked after the events were read: the event of a later change of access is after `last`, and the live tail
    # checks access again at that event.
    if not await token_recheck.callers_with_access(session, [listener.caller]):
        listener.finish(StreamEndReason.ACCESS_CHANGED)
        return CatchUpPage([], after, end=None)
    if len(events) == PAGE and events[-1].position is not None:
        return CatchUpPage(events, events[-1].position, end=None)
    return CatchUpPage(events, until, end=last if until == last else None)
