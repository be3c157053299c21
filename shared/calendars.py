"""Load working calendars from the database, each combined with its base."""

from collections.abc import Collection
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tables.registry import Calendar, CalendarDay
from shared.working_time import DayException, WorkingCalendar, parse_intervals


async def load_calendar_rows(session: AsyncSession, wanted: Collection[UUID]) -> dict[UUID, Calendar]:
    """Return the region's calendar, the requested calendars and all their bases, by id."""
    query = select(Calendar)
    found = {
        row.id: row
        for row in await session.scalars(query.where(or_(Calendar.is_default, Calendar.id.in_(wanted))))
    }
    # A calendar's base is older and never changes, so there are no cycles.
    while missing := {row.base_id for row in found.values() if row.base_id} - found.keys():
        found |= {row.id: row for row in await session.scalars(query.where(Calendar.id.in_(missing)))}
    return found


async def build_working_calendars(
    session: AsyncSession, rows: dict[UUID, Calendar]
) -> dict[UUID, WorkingCalendar]:
    """Return the calendars of the rows from `load_calendar_rows`, with all exceptions, by id."""
    days: dict[UUID, dict[date, DayException]] = {calendar_id: {} for calendar_id in rows}
    for day in await session.scalars(select(CalendarDay).where(CalendarDay.calendar_id.in_(days))):
        days[day.calendar_id][day.day] = DayException(parse_intervals(day.intervals), day.title)
    built: dict[UUID, WorkingCalendar] = {}

    def build(row: Calendar) -> WorkingCalendar:
        if row.id not in built:
            built[row.id] = WorkingCalendar(
                ZoneInfo(row.time_zone),
                {int(weekday): parse_intervals(pairs) for weekday, pairs in row.weekly.items()},
                days[row.id],
                build(rows[row.base_id]) if row.base_id else None,
            )
        return built[row.id]

    return {calendar_id: build(row) for calendar_id, row in rows.items()}
