"""When a notice is sent: in the working hours of the person's organisation, at once or with a digest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared import calendars
from shared.clock import REGION_TIME_ZONE
from shared.tables.registry import Organisation
from shared.working_time import WorkingCalendar, is_working_moment

# How far ahead working time is searched for: longer than any holidays.
_SEARCH_DAYS = 60
_OFFICE = ((time(9), time(13)), (time(14), time(18)))
# Used in a region without calendars, and for a calendar without working time.
OFFICE_HOURS = WorkingCalendar(REGION_TIME_ZONE, dict.fromkeys(range(1, 6), _OFFICE))


@dataclass(frozen=True)
class WorkingHours:
    """The calendars of organisations; `default`, the centre's, is used for organisations without one."""

    default: WorkingCalendar
    by_organisation: Mapping[UUID, WorkingCalendar]

    def of(self, organisation_id: UUID | None) -> WorkingCalendar:
        """Return the calendar of an organisation; None: of the centre."""
        if organisation_id is None:
            return self.default
        return self.by_organisation.get(organisation_id, self.default)

    @staticmethod
    async def load(session: AsyncSession, organisations: Collection[UUID | None]) -> "WorkingHours":
        """Return the calendars of these organisations."""
        wanted = [found for found in organisations if found is not None]
        rows = await session.execute(
            select(Organisation.id, Organisation.calendar_id).where(
                Organisation.id.in_(wanted), Organisation.calendar_id.is_not(None)
            )
        )
        chosen = {row.id: row.calendar_id for row in rows}
        calendar_rows = await calendars.load_calendar_rows(session, set(chosen.values()))
        built = await calendars.build_working_calendars(session, calendar_rows)
        default = next((built[row.id] for row in calendar_rows.values() if row.is_default), OFFICE_HOURS)
        return WorkingHours(default, {organisation: built[calendar] for organisation, calendar in chosen.items()})


def next_working_moment(calendar: WorkingCalendar, moment: datetime) -> datetime:
    """Return the moment if it is in working hours, else the next start of working hours, in UTC."""
    if is_working_moment(calendar, moment):
        return moment
    for intervals in _working_days(calendar, moment):
        for opens, closes in intervals:
            if moment < closes:
                return max(opens, moment)
    return next_working_moment(OFFICE_HOURS, moment)


def next_digest(calendar: WorkingCalendar, moment: datetime, digest_time: time) -> datetime:
    """Return when the next digest is sent, not before the moment: on a working day at this local time, or at the
    first working moment after it.
    """
    for intervals in _working_days(calendar, moment):
        local = datetime.combine(intervals[0][0].astimezone(calendar.zone).date(), digest_time, calendar.zone)
        # On a day whose working hours end before the digest time, the digest is sent when they begin.
        sent_at = next((max(opens, local) for opens, closes in intervals if local < closes), intervals[0][0])
        if sent_at >= moment:
            return sent_at.astimezone(moment.tzinfo)
    return next_digest(OFFICE_HOURS, moment, digest_time)


def _working_days(calendar: WorkingCalendar, moment: datetime) -> Iterator[Sequence[tuple[datetime, datetime]]]:
    first = moment.astimezone(calendar.zone).date()
    for offset in range(_SEARCH_DAYS):
        if intervals := calendar.working_intervals_utc(first + timedelta(days=offset)):
            yield intervals
