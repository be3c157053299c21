"""Working calendars: the region's, and those of organisations with other hours, which extend it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.persistence import versioned_update
from services.registry.schemas.calendars import CalendarCreate, CalendarUpdate, SpecialDayInput, Weekday
from shared import calendars
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.clock import REGION_TIME_ZONE
from shared.contracts.registry_events import CalendarChanged, CalendarReference, CalendarRegistered
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Invalid, NotFound
from shared.tables.registry import Calendar, CalendarDay
from shared.working_time import WorkingCalendar


@dataclass(frozen=True)
class CalendarDetails:
    """A calendar's row, and its working calendar with inherited days."""

    row: Calendar
    working_calendar: WorkingCalendar


async def list_calendars(session: AsyncSession, paging: Paging) -> list[Calendar]:
    """Return calendars, newest first (page size plus one)."""
    query = select(Calendar).order_by(Calendar.created_at.desc(), Calendar.id.desc()).limit(paging.limit + 1)
    after = paging.after((Calendar.created_at, Calendar.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def get(session: AsyncSession, calendar_id: UUID) -> CalendarDetails:
    """Return a calendar with its days. Raises `NotFound` for an unknown id."""
    rows = await calendars.load_calendar_rows(session, [calendar_id])
    if calendar_id not in rows:
        raise NotFound("No such calendar")
    return CalendarDetails(
        rows[calendar_id], (await calendars.build_working_calendars(session, rows))[calendar_id]
    )


async def register(session: WriteSession, new: CalendarCreate, actor: str) -> CalendarDetails:
    """Create a calendar that extends the given one, by default the region's.

    Raises `Invalid` for an unknown base, or if neither a base nor a week is given.
    """
    base = await _base(session, new)
    if new.weekly is None and base is None:
        raise Invalid.field("/weekly", "A calendar without a base needs weekly working hours")
    weekly = base.weekly if base and new.weekly is None else _week(new.weekly or {})
    zone = new.time_zone or (base.time_zone if base else REGION_TIME_ZONE.key)
    calendar = Calendar(name=new.name, time_zone=zone, weekly=weekly, base_id=base.id if base else None)
    session.add(calendar)
    await session.flush()
    await emit(session, _event(CalendarRegistered(version=calendar.version), calendar, actor))
    return await get(session, calendar.id)


def _week(week: Mapping[Weekday, Sequence[tuple[str, str]]]) -> dict[str, Any]:
    days = {str(weekday): [list(pair) for pair in intervals] for weekday, intervals in week.items()}
    return {str(day): days.get(str(day), []) for day in range(1, 8)}


async def change(
    session: WriteSession, calendar_id: UUID, update: CalendarUpdate, version: int | None, actor: str
) -> CalendarDetails:
    """Update the given fields.

    On the event, the appeals service recomputes running and paused deadlines. Calendars that extend this one keep
    their own week and time zone. Raises `NotFound` for an unknown id, `PreconditionFailed` for a stale version.
    """
    calendar = await _locked(session, calendar_id, version)
    values = update.given_values()
    if update.weekly is not None:
        values["weekly"] = _week(update.weekly)
    if changed := versioned_update.apply_changes(calendar, values):
        await session.flush()
        await emit(session, _event(CalendarChanged(version=calendar.version, changed=changed), calendar, actor))
    return await get(session, calendar_id)


async def _locked(session: WriteSession, calendar_id: UUID, version: int | None) -> Calendar:
    calendar = await session.get(Calendar, calendar_id, with_for_update=True)
    if calendar is None:
        raise NotFound("No such calendar")
    check_version(calendar.version, version)
    return calendar


async def _base(session: AsyncSession, new: CalendarCreate) -> Calendar | None:
    if new.extends_default:
        return await session.scalar(select(Calendar).where(Calendar.is_default))
    if new.base_id is None:
        return None
    base = await session.get(Calendar, new.base_id)
    if base is None:
        raise Invalid.field("/base_id", "No such calendar")
    return base


async def replace_days(
    session: WriteSession,
    calendar_id: UUID,
    *,
    start: date,
    end: date,
    days: Iterable[SpecialDayInput],
    version: int | None,
    actor: str,
) -> CalendarDetails:
    """Replace the calendar's own days between two dates.

    When the days are already the same, nothing changes, not even the version. On the event, the appeals service
    recomputes running and paused deadlines. Raises `NotFound` for an unknown id, `PreconditionFailed` for a stale
    version.
    """
    calendar = await _locked(session, calendar_id, version)
    new_days = {
        special_day.day: ([list(pair) for pair in special_day.intervals], special_day.title)
        for special_day in days
    }
    between = select(CalendarDay).where(
        CalendarDay.calendar_id == calendar_id, CalendarDay.day.between(start, end)
    )
    changed = False
    for row in list(await session.scalars(between)):
        kept = new_days.pop(row.day, None)
        if kept == (row.intervals, row.title):
            continue
        changed = True
        if kept is None:
            await session.delete(row)
        else:
            row.intervals, row.title = kept
    if new_days or changed:
        session.add_all(
            CalendarDay(calendar_id=calendar_id, day=day, intervals=intervals, title=title)
            for day, (intervals, title) in new_days.items()
        )
        calendar.version += 1
        await session.flush()
        data = CalendarChanged(version=calendar.version, start=start, end=end)
        await emit(session, _event(data, calendar, actor))
    return await get(session, calendar_id)


def _event(data: CalendarReference, calendar: Calendar, actor: str) -> NewEvent:
    return NewEvent(data=data, subject_id=calendar.id, organisation_id=None, actor=actor)
