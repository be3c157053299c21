"""Daily budgets of network calls: reserved before the request to ingest, so that a failure cannot exceed them."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.sessions import Database, WriteSession
from shared.tables.registry import PageCheckCalls


@dataclass(frozen=True)
class Calls:
    """Calls of page checks: `reach` has its own budget, `checks` are all other calls."""

    checks: int = 0
    reach: int = 0


async def calls_spent(session: AsyncSession, day: date) -> Calls:
    """Return how many calls the day's checks have reserved or made, over all networks."""
    query = select(func.sum(PageCheckCalls.calls), func.sum(PageCheckCalls.reach_calls))
    checks, reach = (await session.execute(query.where(PageCheckCalls.day == day))).one()
    return Calls(checks or 0, reach or 0)


async def reserve(database: Database, day: date, network: str, calls: Calls) -> None:
    """Reserve calls in a separate transaction: they count even if the run fails."""
    row = upsert(PageCheckCalls).values(day=day, network=network, calls=calls.checks, reach_calls=calls.reach)
    more = {
        "calls": PageCheckCalls.calls + row.excluded.calls,
        "reach_calls": PageCheckCalls.reach_calls + row.excluded.reach_calls,
    }
    async with database.write() as session:
        await session.execute(row.on_conflict_do_update(index_elements=["day", "network"], set_=more))


async def correct(session: WriteSession, day: date, network: str, *, reserved: Calls, made: Calls) -> None:
    """Correct the reservation once the number of calls is known."""
    await session.execute(
        update(PageCheckCalls)
        .where(PageCheckCalls.day == day, PageCheckCalls.network == network)
        .values(
            calls=PageCheckCalls.calls + made.checks - reserved.checks,
            reach_calls=PageCheckCalls.reach_calls + made.reach - reserved.reach,
        )
    )
