"""Budget of network calls: reserved before ingest is asked, so that no failure makes a day exceed it."""

from datetime import date

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.sessions import Database, WriteSession
from shared.tables.registry import PageCheckCalls


async def calls_spent(session: AsyncSession, day: date) -> int:
    """Return how many calls the day's checks made or may have made, over all networks."""
    return await session.scalar(select(func.sum(PageCheckCalls.calls)).where(PageCheckCalls.day == day)) or 0


async def reserve(database: Database, day: date, network: str, calls: int) -> None:
    """Reserve calls in a transaction of its own: they count even if the run fails."""
    row = upsert(PageCheckCalls).values(day=day, network=network, calls=calls)
    more = {"calls": PageCheckCalls.calls + row.excluded.calls}
    async with database.write() as session:
        await session.execute(row.on_conflict_do_update(index_elements=["day", "network"], set_=more))


async def correct(session: WriteSession, day: date, network: str, difference: int) -> None:
    """Correct the reservation once the number of calls is known."""
    await session.execute(
        update(PageCheckCalls)
        .where(PageCheckCalls.day == day, PageCheckCalls.network == network)
        .values(calls=PageCheckCalls.calls + difference)
    )
