"""The time of the database's clock, by which leases, heartbeats and the order of rows are decided.

Clocks of two machines are never compared: all processes use the clock of the database.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def database_time(session: AsyncSession) -> datetime:
    """Return the current time of the database's clock, which advances within a transaction."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now
