"""Export of special days to iCalendar."""

from datetime import UTC, date, datetime, time

from icalendar import Calendar, Event

from services.registry.calendars.calendars import CalendarDetails
from shared.working_time import ONE_DAY

ICAL_MEDIA_TYPE = "text/calendar"


def to_ical(details: CalendarDetails, *, own_only: bool = False) -> bytes:
    """Return the calendar's special days as a file; with `own_only` without those inherited from its base."""
    feed = Calendar.new(
        name=details.row.name, prodid="-//Gospablik//Working calendars//RU", uid=str(details.row.id)
    )
    feed["X-WR-CALNAME"] = feed["NAME"]
    days = sorted(details.working_calendar.exceptions) if own_only else details.working_calendar.exception_dates()
    for day in days:
        special = details.working_calendar.exception(day)
        if special is None:
            continue
        zone = details.working_calendar.zone
        moments: list[tuple[date, date]] = [
            (
                datetime.combine(day, start, zone),
                datetime.combine(day + ONE_DAY if end == time.min else day, end, zone),
            )
            for start, end in special.intervals
        ] or [(day, day + ONE_DAY)]
        for index, (start, end) in enumerate(moments):
            event = Event()
            event.add("uid", f"{day:%Y%m%d}-{index}@{details.row.id}")
            event.add("dtstamp", details.row.updated_at.astimezone(UTC))
            event.add("dtstart", start)
            event.add("dtend", end)
            event.add("summary", special.title)
            event.add("transp", "TRANSPARENT")
            event.add("categories", ["Рабочее время" if special.intervals else "Выходной день"])
            feed.add_component(event)
    if days:
        feed.add_missing_timezones(first_date=days[0], last_date=days[-1] + ONE_DAY)
    file: bytes = feed.to_ical()
    return file
