"""One event of a file: which dates it speaks of, and what it says of them."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.working_time import A_DAY, END_OF_DAY

LONGEST = 366
YEARS = range(2000, 2101)
REPEATING = ("RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
Interval = tuple[str, str]


class Fault(Exception):  # noqa: N818 — a person's mistake in a file
    """What is wrong with one property of an event."""

    def __init__(self, name: str | None, detail: str) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail


def one_line(text: str) -> str:
    """Words from outside as they may stand in a title or an error."""
    return " ".join(text.split())[:200]


def title(event: Any) -> str:
    """What the event is called. Raises `Fault`."""
    found = event.get("SUMMARY")
    if isinstance(found, list):
        raise Fault("SUMMARY", "is given twice")
    return one_line(str(found or ""))


def times(event: Any, zone: ZoneInfo) -> list[tuple[date, Interval | None]]:
    """Each date of the event with its working interval, or None for a day off. Raises `Fault`.

    An event that was cancelled has none. Moments without a zone are local ones.
    """
    for name, detail in event.errors:
        raise Fault(name, detail)
    for name in REPEATING:
        if name in event:
            raise Fault(name, "repeating events are not taken: give each date an event of its own")
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return []
    start, end = _value(event, "DTSTART"), _value(event, "DTEND")
    lasts = _value(event, "DURATION")
    if start is None or isinstance(start, timedelta):
        raise Fault("DTSTART", "an event needs the date or the moment when it begins")
    last = "DTEND" if lasts is None else "DURATION"
    if lasts is not None:
        if end is not None or not isinstance(lasts, timedelta):
            raise Fault("DURATION", "stands beside DTEND, or is none")
        if abs(lasts) > LONGEST * A_DAY:
            raise Fault("DURATION", f"longer than {LONGEST} days")
        end = start + lasts
    if isinstance(start, datetime):
        return [_working_time(start, end, last, zone)]
    return [(day, None) for day in _whole_days(start, end, last)]


def _value(event: Any, name: str) -> Any:
    value = event.get(name)
    if isinstance(value, list):
        raise Fault(name, "is given twice")
    if value is None:
        return None
    moment = value.dt if hasattr(value, "dt") else None
    if isinstance(moment, datetime | date):
        if moment.year not in YEARS:
            raise Fault(name, f"the year must be from {YEARS.start} to {YEARS.stop - 1}")
        if isinstance(moment, datetime) and moment.tzinfo is None and "TZID" in value.params:
            raise Fault(name, f"the time zone «{value.params['TZID']}» is not known")
    elif not isinstance(moment, timedelta):
        raise Fault(name, "is no date, moment or duration")
    return moment


def _working_time(start: datetime, end: Any, last: str, zone: ZoneInfo) -> tuple[date, Interval]:
    if not isinstance(end, datetime):
        raise Fault(last, "working time needs the moment when it ends")
    opens, closes = (
        (moment.astimezone(zone) if moment.tzinfo else moment).replace(tzinfo=None) for moment in (start, end)
    )
    day = opens.date()
    if any(moment.second or moment.microsecond for moment in (opens, closes)):
        raise Fault("DTSTART", "working time begins and ends at whole minutes")
    if closes <= opens:
        raise Fault(last, "is not after the start")
    if closes == datetime.combine(day + A_DAY, time.min):
        return day, (f"{opens:%H:%M}", END_OF_DAY)
    if closes.date() != day:
        raise Fault(last, "working time ends on the day on which it begins, at midnight at the latest")
    return day, (f"{opens:%H:%M}", f"{closes:%H:%M}")


def _whole_days(start: date, end: Any, last: str) -> list[date]:
    if end is None:
        return [start]
    if isinstance(end, datetime) or not isinstance(end, date):
        raise Fault(last, "an event of whole days ends with a date")
    count = (end - start).days
    if not 1 <= count <= LONGEST:
        raise Fault(last, f"a day off lasts from 1 to {LONGEST} days; the end is the day after the last")
    return [start + timedelta(days=place) for place in range(count)]
