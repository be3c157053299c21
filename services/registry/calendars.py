"""Working calendars: the region's, and those of organisations that work otherwise."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.schemas.calendars import CalendarDay as DayGiven
from services.registry.schemas.calendars import CalendarNew, DaysReplacement
from shared.database import WriteSession
from shared.events import NewEvent, emit
from shared.pagination import Paging
from shared.preconditions import check_version
from shared.problems import NotFound
from shared.tables.registry import Calendar, CalendarDay

Intervals = Sequence[Sequence[str]]
Weekly = Mapping[str, Intervals]


def _minutes(moment: str) -> int:
    hours, minutes = moment.split(":")
    return int(hours) * 60 + int(minutes)


def _worked(intervals: Intervals) -> int:
    return sum(_minutes(end) - _minutes(start) for start, end in intervals)


def shortened(intervals: Intervals, by: int) -> list[list[str]]:
    """The intervals with `by` minutes less, taken from their end."""
    kept = [list(pair) for pair in intervals]
    while kept and by > 0:
        start, end = map(_minutes, kept[-1])
        if end - start > by:
            closes = end - by
            kept[-1][1] = f"{closes // 60:02}:{closes % 60:02}"
            break
        by -= end - start
        kept.pop()
    return kept


def _usual(weekly: Weekly) -> Intervals:
    return next((weekly[key] for key in sorted(weekly) if weekly[key]), ())


def fitted(day: date, intervals: Intervals, of: Weekly, to: Weekly) -> list[list[str]]:
    """A special day of one week's pattern as it is in another's: off stays off, an hour less stays an hour less.

    A working day on a weekday that is usually off is as long as the week's first working day.
    """
    if not intervals:
        return []
    weekday = str(day.isoweekday())
    by = _worked(of.get(weekday) or _usual(of)) - _worked(intervals)
    return shortened(to.get(weekday) or _usual(to), by)


async def listed(session: AsyncSession, paging: Paging) -> list[Calendar]:
    """Calendars, newest first, one more than the limit."""
    query = select(Calendar).order_by(Calendar.created_at.desc(), Calendar.id.desc()).limit(paging.limit + 1)
    after = paging.after((Calendar.created_at, Calendar.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def one(session: AsyncSession, calendar_id: UUID) -> tuple[Calendar, list[CalendarDay]]:
    """A calendar and its days in order. Raises `NotFound`."""
    found = await session.get(Calendar, calendar_id)
    if found is None:
        raise NotFound("There is no such calendar")
    return found, await _days(session, calendar_id)


async def _days(session: AsyncSession, calendar_id: UUID) -> list[CalendarDay]:
    query = select(CalendarDay).where(CalendarDay.calendar_id == calendar_id).order_by(CalendarDay.day)
    return list(await session.scalars(query))


async def register(session: WriteSession, new: CalendarNew, actor: str) -> tuple[Calendar, list[CalendarDay]]:
    """A new calendar, with the region's special days fitted to its week when asked for."""
    weekly: dict[str, Any] = {
        str(weekday): [list(pair) for pair in dict(new.weekly).get(str(weekday), [])]  # type: ignore[call-overload]
        for weekday in range(1, 8)
    }
    calendar = Calendar(name=new.name, time_zone=new.time_zone, weekly=weekly)
    session.add(calendar)
    await session.flush()
    if new.with_regional_days:
        regional = await session.scalar(select(Calendar).where(Calendar.is_default))
        if regional is not None:
            session.add_all(
                CalendarDay(
                    calendar_id=calendar.id,
                    day=day.day,
                    intervals=fitted(day.day, day.intervals, regional.weekly, weekly),
                    title=day.title,
                )
                for day in await _days(session, regional.id)
            )
            await session.flush()
    await emit(session, _event("calendar.registered", calendar, actor, {}))
    return calendar, await _days(session, calendar.id)


async def replace_days(
    session: WriteSession, calendar_id: UUID, wanted: DaysReplacement, version: int | None, actor: str
) -> tuple[Calendar, list[CalendarDay]]:
    """Make the special days between two dates exactly those given. Raises `NotFound`, `PreconditionFailed`.

    Deadlines that were computed before stay as they are; new ones follow the new days.
    """
    found = await session.get(Calendar, calendar_id, with_for_update=True)
    if found is None:
        raise NotFound("There is no such calendar")
    check_version(found.version, version)
    await session.execute(
        delete(CalendarDay).where(
            CalendarDay.calendar_id == calendar_id, CalendarDay.day.between(wanted.start, wanted.end)
        )
    )
    session.add_all(_row(calendar_id, day) for day in wanted.days)
    found.version += 1
    await session.flush()
    data = {"start": wanted.start.isoformat(), "end": wanted.end.isoformat()}
    await emit(session, _event("calendar.changed", found, actor, data))
    return found, await _days(session, calendar_id)


def _row(calendar_id: UUID, given: DayGiven) -> CalendarDay:
    return CalendarDay(
        calendar_id=calendar_id,
        day=given.day,
        intervals=[list(pair) for pair in given.intervals],
        title=given.title,
    )


def _event(kind: str, calendar: Calendar, actor: str, data: dict[str, Any]) -> NewEvent:
    return NewEvent(
        type=kind,
        subject_id=calendar.id,
        organisation_id=None,
        actor=actor,
        data={"version": calendar.version, **data},
    )
