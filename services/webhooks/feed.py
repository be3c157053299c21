"""The numbered feed of events, as far as the caller may see it."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access import Caller
from shared.problems import Gone
from shared.tables.events import Event


async def read(
    session: AsyncSession, caller: Caller, *, after: int, limit: int, types: Sequence[str] | None
) -> tuple[list[Event], int]:
    """Events after a position in order, and the position to continue from, which steps over unseen ones too.

    From 0 on: from the oldest event that is kept. Raises `Gone` where events after the position were deleted.
    """
    oldest = await session.scalar(select(func.min(Event.position)))
    if after and oldest is not None and after < oldest - 1:
        raise Gone(
            f"Events {after + 1} to {oldest - 1} were deleted when their term had passed. Read what you missed"
            f" from the lists, such as /appeals, then go on with after={oldest - 1}"
        )
    # Asked first: an event numbered in between is left for the next call instead of being stepped over.
    last = await session.scalar(select(func.coalesce(func.max(Event.position), 0))) or 0
    query = select(Event).where(
        Event.position > after, Event.position <= last, caller.scope(Event.organisation_id)
    )
    if types is not None:
        query = query.where(Event.type.in_(types))
    found = list(await session.scalars(query.order_by(Event.position).limit(limit)))
    if len(found) == limit and found[-1].position is not None:
        return found, found[-1].position
    return found, max(after, last)
