"""The account of calls: granted before ingest is asked, so that no failure lets a day cost more than it may."""

from datetime import date

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.sessions import Database, WriteSession
from shared.tables.registry import PageCheckCalls


async def calls_spent(session: AsyncSession, day: date) -> int:
    """Calls that the day's checks made, or may have made, in all networks."""
    return await session.scalar(select(func.sum(PageCheckCalls.calls)).where(PageCheckCalls.day == day)) or 0


async def reserve(database: Database, day: date, network: str, calls: int) -> None:
    """Count these calls as made, in a transaction of its own: they count whatever becomes of the run."""
    row = upsert(PageCheckCalls).values(day=day, network=network, calls=calls)
    more = {"calls": PageCheckCalls.calls + row.excluded.calls}
    async with database.write() as session:
        await session.execute(row.on_conflict_do_update(index_elements=["day", "network"], set_=more))


async def correct(session: WriteSession, day: date, network: str, difference: int) -> None:
    """Put right what was granted once the calls made are known."""
    await session.execute(
        update(PageCheckCalls)
        .where(PageCheckCalls.day == day, PageCheckCalls.network == network)
        .values(calls=PageCheckCalls.calls + difference)
    )
