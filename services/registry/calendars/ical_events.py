"""One event of an iCalendar file: its dates, working intervals and title."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.working_time import END_OF_DAY, ONE_DAY

MAX_DAYS_OF_EVENT = 366
YEARS = range(2000, 2101)
RECURRENCE_PROPERTIES = ("RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
Interval = tuple[str, str]


class IcalError(Exception):
    """An error in one property of an event."""

    def __init__(self, name: str | None, detail: str) -> None:
        super().__init__(detail)
        self.property_name = name
        self.detail = detail


def one_line(text: str) -> str:
    """Return external text on one line, cut to 200 characters, for titles and errors."""
    return " ".join(text.split())[:200]


def title(event: Any) -> str:
    """Return the title of the event. Raises `IcalError` if it has several."""
    summary = event.get("SUMMARY")
    if isinstance(summary, list):
        raise IcalError("SUMMARY", "the event has more than one title")
    return one_line(str(summary or ""))


def dates_of_event(event: Any, zone: ZoneInfo) -> list[tuple[date, Interval | None]]:
    """Return each date of the event with its working interval, or None for a day off.

    A cancelled event has no dates. Times without a zone are in the calendar's zone. Raises `IcalError` for a
    recurring event, and for times that are missing, malformed or out of order.
    """
    for name, detail in event.errors:
        raise IcalError(name, detail)
    for name in RECURRENCE_PROPERTIES:
        if name in event:
            raise IcalError(name, "recurring events are not supported: give each date a separate event")
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return []
    start, end = _value(event, "DTSTART"), _value(event, "DTEND")
    lasts = _value(event, "DURATION")
    if start is None or isinstance(start, timedelta):
        raise IcalError("DTSTART", "the event has no start date or time")
    last = "DTEND" if lasts is None else "DURATION"
    if lasts is not None:
        if end is not None or not isinstance(lasts, timedelta):
            raise IcalError(
                "DURATION", "the duration is not valid, or the event has DTEND too: give only one of the two"
            )
        if abs(lasts) > MAX_DAYS_OF_EVENT * ONE_DAY:
            raise IcalError("DURATION", f"the duration is longer than {MAX_DAYS_OF_EVENT} days")
        end = start + lasts
    if isinstance(start, datetime):
        return [_working_time(start, end, last, zone)]
    return [(day, None) for day in _whole_days(start, end, last)]


def _value(event: Any, name: str) -> Any:
    value = event.get(name)
    if isinstance(value, list):
        raise IcalError(name, "the event has this property more than once")
    if value is None:
        return None
    moment = value.dt if hasattr(value, "dt") else None
    if isinstance(moment, datetime | date):
        if moment.year not in YEARS:
            raise IcalError(name, f"the year must be from {YEARS.start} to {YEARS.stop - 1}")
        if isinstance(moment, datetime) and moment.tzinfo is None and "TZID" in value.params:
            raise IcalError(name, f"the time zone «{value.params['TZID']}» is not known")
    elif not isinstance(moment, timedelta):
        raise IcalError(name, "the value is not a date, time or duration")
    return moment


def _working_time(start: datetime, end: Any, last: str, zone: ZoneInfo) -> tuple[date, Interval]:
    if not isinstance(end, datetime):
        raise IcalError(last, "working time needs an end time")
    opens, closes = (
        (moment.astimezone(zone) if moment.tzinfo else moment).replace(tzinfo=None) for moment in (start, end)
    )
    day = opens.date()
    if any(moment.second or moment.microsecond for moment in (opens, closes)):
        raise IcalError("DTSTART", "working time must begin and end at whole minutes")
    if closes <= opens:
        raise IcalError(last, "the end must be after the start")
    if closes == datetime.combine(day + ONE_DAY, time.min):
        return day, (f"{opens:%H:%M}", END_OF_DAY)
    if closes.date() != day:
        raise IcalError(last, "working time must end on the day on which it begins, at midnight at the latest")
    return day, (f"{opens:%H:%M}", f"{closes:%H:%M}")


def _whole_days(start: date, end: Any, last: str) -> list[date]:
    if end is None:
        return [start]
    if isinstance(end, datetime) or not isinstance(end, date):
        raise IcalError(last, "an all-day event must end with a date")
    count = (end - start).days
    if not 1 <= count <= MAX_DAYS_OF_EVENT:
        raise IcalError(
            last, f"a day off lasts from 1 to {MAX_DAYS_OF_EVENT} days; the end is the day after the last"
        )
    return [start + timedelta(days=index) for index in range(count)]
