"""Catching up: reading events from the database, page by page, until a listener meets the live tail."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.feed import event_feed
from services.webhooks.stream.listener import CHUNK, Listener
from shared.tables.common import Event

# How many events one page looks at, whoever may see them: a page of a caller with few events must end too.
WINDOW = 5_000


@dataclass(frozen=True)
class CatchUpPage:
    """Events for a listener, the position up to which they were read, and whether more are there."""

    events: Sequence[Event]
    reached: int
    at_end: bool


async def read_page(session: AsyncSession, listener: Listener, after: int) -> CatchUpPage:
    """Return the next events for a listener. Raise `Gone` when events after the position were deleted."""
    await event_feed.refuse_expired(session, after)
    if listener.subject_id is None:
        window = (
            select(Event.position).where(Event.position > after).order_by(Event.position).limit(WINDOW).subquery()
        )
        last, found = (await session.execute(select(func.max(window.c.position), func.count()))).one()
        at_end = found < WINDOW
    else:  # an index serves the events of one subject
        last, at_end = await event_feed.last_position(session), True
    until = max(last or 0, after)
    events = await event_feed.read_range(
        session,
        listener.caller,
        after=after,
        until=until,
        types=listener.types,
        subject_id=listener.subject_id,
        limit=CHUNK,
    )
    if len(events) == CHUNK and events[-1].position is not None:
        return CatchUpPage(events, events[-1].position, at_end=False)
    return CatchUpPage(events, until, at_end)
