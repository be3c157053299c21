"""Metric of the erasures that are not done: they may wait for other services, without a failed job."""

import asyncio

from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.retry import run_periodically
from shared.api.pagination import inline_literal
from shared.database.sessions import Database
from shared.tables.ingest_erasure import Erasure

UPDATE_SECONDS = 15.0

OLDEST = Gauge(
    "gospablik_oldest_erasure_seconds",
    "Seconds since the oldest unfinished erasure was requested; 0: there is none",
)


async def update_oldest(session: AsyncSession) -> None:
    """Set the gauge. Reads the index of unfinished erasures."""
    age = func.extract("epoch", func.now() - func.min(Erasure.created_at))
    oldest = await session.scalar(select(age).where(Erasure.status != inline_literal("done")))
    OLDEST.set(0 if oldest is None else max(float(oldest), 0.0))


class UnfinishedGauge:
    """Updates the gauge periodically."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Update the gauge until cancelled."""
        await run_periodically("erasure-metrics", self._round)

    async def _round(self) -> float:
        async with asyncio.timeout(UPDATE_SECONDS), self._database.read() as session:
            await update_oldest(session)
        return UPDATE_SECONDS
