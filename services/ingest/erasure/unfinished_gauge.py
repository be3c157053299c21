"""Metrics of the erasures that are not done, which may wait without a failed job, and of unreadable messages."""

import asyncio

from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.intake.named_people import UNREADABLE
from services.ingest.networks.retry import run_periodically
from shared.api.pagination import inline_literal
from shared.database.sessions import Database
from shared.tables.ingest_erasure import Erasure, NamedPerson

UPDATE_SECONDS = 15.0

OLDEST = Gauge(
    "gospablik_oldest_erasure_seconds",
    "Seconds since the oldest unfinished erasure was requested; 0: there is none",
)
UNREADABLE_MESSAGES = Gauge(
    "gospablik_unreadable_messages", "Stored messages that could not be read to index the people whom they name"
)


async def update_unreadable(session: AsyncSession) -> None:
    """Set the gauge of unreadable messages. Reads one range of the index of named people."""
    count = select(func.count()).where(NamedPerson.digest == UNREADABLE)
    UNREADABLE_MESSAGES.set(await session.scalar(count) or 0)


async def update_oldest(session: AsyncSession) -> None:
    """Set the gauge. Reads the index of unfinished erasures."""
    age = func.extract("epoch", func.now() - func.min(Erasure.created_at))
    oldest = await session.scalar(select(age).where(Erasure.status != inline_literal("done")))
    OLDEST.set(0 if oldest is None else max(float(oldest), 0.0))


class UnfinishedGauge:
    """Updates the gauges periodically."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Update the gauges until cancelled."""
        await run_periodically("erasure-metrics", self._round)

    async def _round(self) -> float:
        async with asyncio.timeout(UPDATE_SECONDS), self._database.read() as session:
            await update_oldest(session)
            await update_unreadable(session)
        return UPDATE_SECONDS
