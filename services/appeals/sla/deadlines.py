"""Computation of deadlines. See docs/moderator/deadlines.md.

A deadline is an SLA policy (the one in effect at the time of the message) applied to the organisation's working
calendar from the moment that the policy names. It is stored with an explanation for people.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.sla.deadline_snapshot import Clock, WorkingDay
from shared import calendars
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals import SlaPolicy
from shared.tables.registry import Organisation
from shared.working_time import DayShare, WorkingCalendar, add_working_time

_OFFICE = ((time(9), time(13)), (time(14), time(18)))
_FROM_WEEKDAY = (
    "с понедельника",
    "со вторника",
    "со среды",
    "с четверга",
    "с пятницы",
    "с субботы",
    "с воскресенья",
)
_WEEKDAY = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье")


@dataclass(frozen=True)
class NamedCalendar:
    """Working time of an organisation, and the calendar it comes from (`id` null: the program's default)."""

    id: UUID | None
    name: str
    working: WorkingCalendar


DEFAULT_CALENDAR = NamedCalendar(
    None, "Пятидневная неделя", WorkingCalendar(REGION_TIME_ZONE, dict.fromkeys(range(1, 6), _OFFICE))
)


class CalendarLookup:
    """Calendars of some organisations, loaded once for a request or a batch."""

    def __init__(self, by_organisation: dict[UUID, NamedCalendar], default: NamedCalendar) -> None:
        self._by_organisation = by_organisation
        self._default = default

    def for_organisation(self, organisation_id: UUID | None) -> NamedCalendar:
        """Return the organisation's calendar, else the default one."""
        if organisation_id is None:
            return self._default
        return self._by_organisation.get(organisation_id, self._default)

    @staticmethod
    async def load(session: AsyncSession, organisations: Collection[UUID]) -> "CalendarLookup":
        """Load the calendars of these organisations and the default one, with all their exceptions."""
        chosen = {
            row.id: row.calendar_id
            for row in await session.execute(
                select(Organisation.id, Organisation.calendar_id).where(
                    Organisation.id.in_(organisations), Organisation.calendar_id.is_not(None)
                )
            )
        }
        rows = await calendars.load_calendar_rows(session, set(chosen.values()))
        named = {
            calendar_id: NamedCalendar(calendar_id, rows[calendar_id].name, found)
            for calendar_id, found in (await calendars.build_working_calendars(session, rows)).items()
        }
        default = next((named[row.id] for row in rows.values() if row.is_default), DEFAULT_CALENDAR)
        return CalendarLookup(
            {organisation: named[calendar] for organisation, calendar in chosen.items()}, default
        )


@dataclass(frozen=True)
class Deadline:
    """When the first response and the resolution are due, and why."""

    policy_id: UUID
    first_response_due_at: datetime
    resolution_due_at: datetime
    clock: Clock


def clock_start(policy: SlaPolicy, *, received: datetime, written: datetime, assigned: datetime) -> datetime:
    """Return the moment from which the policy counts."""
    return {"received": received, "written": written, "assigned": assigned}[policy.starts_from]


def compute_deadline(policy: SlaPolicy, calendar: NamedCalendar, start: datetime) -> Deadline:
    """Return the deadlines of a clock that starts at `start`.

    Where the calendar's days off leave no working time (validation cannot rule that out), the default week is used
    and the clock names it: an appeal without a deadline would be worse.
    """
    hours = timedelta(hours=policy.first_response_hours)
    try:
        due, portions = add_working_time(calendar.working, start, hours)
        resolution, _ = add_working_time(calendar.working, start, timedelta(hours=policy.resolution_hours))
    except ValueError:
        if calendar is DEFAULT_CALENDAR:
            raise
        return compute_deadline(policy, DEFAULT_CALENDAR, start)
    clock = Clock(
        policy_id=policy.id,
        policy=policy.name,
        hours=policy.first_response_hours,
        starts_from=policy.starts_from,
        starts_at=start,
        due_at=due,
        calendar_id=calendar.id,
        calendar=calendar.name,
        time_zone=calendar.working.zone.key,
        days=[
            WorkingDay(day=part.day, minutes=round(part.worked.total_seconds() / 60), note=part.title)
            for part in portions
        ],
        text=explain_deadline(policy.first_response_hours, start, due, portions, calendar.working.zone),
    )
    return Deadline(policy.id, due, resolution, clock)


def explain_deadline(
    hours: float, start: datetime, due: datetime, portions: Sequence[DayShare], zone: ZoneInfo
) -> str:
    """Return the deadline in words, local time: «9 рабочих часов с пятницы 27.11 16:40: 27.11 — 1 ч 20 мин; …»."""
    begins, ends = start.astimezone(zone), due.astimezone(zone)
    days = "; ".join(_day(part) for part in portions)
    return (
        f"{_hours(hours)} {_FROM_WEEKDAY[begins.weekday()]} {begins:%d.%m %H:%M}: {days} → "
        f"{_WEEKDAY[ends.weekday()]} {ends:%d.%m %H:%M}"
    )


def _day(part: DayShare) -> str:
    title = f" ({part.title})" if part.title else ""
    if not part.worked:
        return f"{part.day:%d.%m} — не идёт{title}"
    minutes = round(part.worked.total_seconds() / 60)
    spent = " ".join(
        piece
        for piece in (f"{minutes // 60} ч" if minutes >= 60 else "", f"{minutes % 60} мин" if minutes % 60 else "")
        if piece
    )
    return f"{part.day:%d.%m} — {spent or 'меньше минуты'}{title}"


def _hours(hours: float) -> str:
    if hours != int(hours):
        return f"{hours:g} рабочего часа".replace(".", ",")
    count = int(hours)
    if count % 10 == 1 and count % 100 != 11:
        return f"{count} рабочий час"
    if count % 10 in {2, 3, 4} and count % 100 not in {12, 13, 14}:
        return f"{count} рабочих часа"
    return f"{count} рабочих часов"
