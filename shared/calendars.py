"""Working calendars as they stand in the tables: each laid over its base."""

from collections.abc import Collection
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tables.registry import Calendar, CalendarDay
from shared.working_time import DayException, WorkingCalendar, parse_intervals


async def rows_of(session: AsyncSession, wanted: Collection[UUID]) -> dict[UUID, Calendar]:
    """The region's calendar, those wanted, and all that they lie on."""
    query = select(Calendar)
    found = {
        row.id: row
        for row in await session.scalars(query.where(or_(Calendar.is_default, Calendar.id.in_(wanted))))
    }
    # A base is older than what lies on it, and never changes: there are no rings.
    while missing := {row.base_id for row in found.values() if row.base_id} - found.keys():
        found |= {row.id: row for row in await session.scalars(query.where(Calendar.id.in_(missing)))}
    return found


async def working(session: AsyncSession, rows: dict[UUID, Calendar]) -> dict[UUID, WorkingCalendar]:
    """What the rows of `rows_of` say, with all their dated exceptions."""
    days: dict[UUID, dict[date, DayException]] = {calendar_id: {} for calendar_id in rows}
    for day in await session.scalars(select(CalendarDay).where(CalendarDay.calendar_id.in_(days))):
        days[day.calendar_id][day.day] = DayException(parse_intervals(day.intervals), day.title)
    made: dict[UUID, WorkingCalendar] = {}

    def make(row: Calendar) -> WorkingCalendar:
        if row.id not in made:
            made[row.id] = WorkingCalendar(
                ZoneInfo(row.time_zone),
                {int(weekday): parse_intervals(pairs) for weekday, pairs in row.weekly.items()},
                days[row.id],
                make(rows[row.base_id]) if row.base_id else None,
            )
        return made[row.id]

    return {calendar_id: make(row) for calendar_id, row in rows.items()}
