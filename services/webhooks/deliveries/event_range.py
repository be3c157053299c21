"""Find feed positions by time."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tables.common import Event

# How far the order of positions may differ from the order of `created_at`: events are numbered after the commit,
# so an event of a long transaction gets a later position than newer events.
DISORDER = timedelta(hours=1)


async def first_position(session: AsyncSession, moment: datetime) -> int:
    """Return the position at which events become at least as new as `moment`, found by bisection.

    Events newer than `moment` by `DISORDER` are at or after this position, events older by `DISORDER` are before
    it.
    """
    oldest, newest = (await session.execute(select(func.min(Event.position), func.max(Event.position)))).one()
    low, high = oldest or 0, (newest or 0) + 1
    while low < high:
        middle = (low + high) // 2
        # The next event at or after `middle`: positions have gaps where an epoch begins.
        event = (
            await session.execute(
                select(Event.position, Event.created_at)
                .where(Event.position >= middle)
                .order_by(Event.position)
                .limit(1)
            )
        ).one_or_none()
        if event is None or event.created_at >= moment:
            high = middle
        else:
            low = event.position + 1
    return low
