"""Open data of weeks as they were published: stored once, never changed.

A week is suppressed once. If it were computed at each request, another minimum or another version of the
suppression would hide other cells of the same week, and both together could show what each of them hides.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week
from services.metrics.open_data.open_week import open_week
from services.metrics.weekly_report.publication import read_published
from shared.database.sessions import Database
from shared.ids import new_id
from shared.tables.metrics import OpenDataWeek, WeeklyReport


@dataclass(frozen=True)
class PublishedOpenWeek:
    """A week that has open data."""

    week: Week
    published_at: datetime


async def publish_open_weeks(database: Database, now: datetime, minimum: int) -> list[Week]:
    """Publish open data of the reports that have none, oldest first; return their weeks."""
    missing = (
        select(WeeklyReport.week)
        .where(~exists().where(OpenDataWeek.week == WeeklyReport.week))
        .order_by(WeeklyReport.week)
    )
    async with database.read() as session:
        weeks = [Week.parse(name) for name in await session.scalars(missing)]
    return [week for week in weeks if await _publish(database, week, now, minimum)]


async def _publish(database: Database, week: Week, now: datetime, minimum: int) -> bool:
    """Store the open data of a published week. Return False if another worker was first."""
    async with database.read() as session:
        report = await read_published(session, week)
    if report is None:
        return False
    made = await asyncio.to_thread(open_week, report.document, minimum)
    row = {
        "id": new_id(),
        "week": week.name,
        "minimum": minimum,
        "document": made.model_dump_json(),
        "published_at": now,
        "created_at": now,
    }
    stored = insert(OpenDataWeek).values(row).on_conflict_do_nothing().returning(OpenDataWeek.id)
    async with database.write() as session:
        return await session.scalar(stored) is not None


async def list_open_weeks(session: AsyncSession) -> Sequence[PublishedOpenWeek]:
    """Return the weeks with open data, newest first."""
    rows = await session.execute(
        select(OpenDataWeek.week, OpenDataWeek.published_at).order_by(OpenDataWeek.week.desc())
    )
    return [PublishedOpenWeek(Week.parse(row.week), row.published_at) for row in rows]


async def read_open_week(session: AsyncSession, week: Week) -> str | None:
    """Return the open data of a week as JSON, as they were stored; None if there are none."""
    return await session.scalar(select(OpenDataWeek.document).where(OpenDataWeek.week == week.name))
