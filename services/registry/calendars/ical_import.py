"""Import of special days from iCalendar; errors are reported for every invalid event."""

from dataclasses import dataclass, field
from datetime import date
from threading import Lock
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from icalendar import Calendar
from icalendar.timezone import tzp
from pydantic import ValidationError

from services.registry.calendars.ical_events import IcalError, Interval, dates_of_event, one_line, title
from services.registry.schemas.calendars import MAX_DAYS, SpecialDayInput
from shared.http.problems import FieldError, Invalid

MAX_SHOWN_ERRORS = 100
_PARSING = Lock()
# Field of a day → the property of an event that it comes from.
PROPERTY_BY_FIELD = {"day": "DTSTART", "intervals": "DTSTART", "title": "SUMMARY"}


@dataclass
class _Day:
    """The events of one date, merged; `event_index` is the position of the first one."""

    event_index: int
    off: bool = False
    intervals: set[Interval] = field(default_factory=set)
    titles: list[str] = field(default_factory=list)

    def add(self, interval: Interval | None, title: str) -> None:
        """Add another event of the date."""
        if interval is None:
            self.off = True
        else:
            self.intervals.add(interval)
        if title not in self.titles:
            self.titles.append(title)


@dataclass
class ParsedCalendar:
    """The days of a file in order, and the event index of each."""

    days: list[SpecialDayInput]
    event_index_by_day: dict[date, int]

    def covered_dates(self, start: date | None, end: date | None) -> tuple[date, date]:
        """Return the period to replace: as given, otherwise from the first to the last year of the file's days.

        Raises `Invalid` if there are neither days nor both dates, for an end before the start, and for days
        outside the period.
        """
        named = [parsed_day.day for parsed_day in self.days]
        if not named and not (start and end):
            raise Invalid.field(
                "/VEVENT", "The file contains no days: give start and end to delete the days of a period"
            )
        start = start or date((min(named, default=end) or date.min).year, 1, 1)
        end = end or date((max(named, default=start) or date.max).year, 12, 31)
        if end < start:
            raise Invalid.field("query/end", f"The period would end on {end}, before it starts on {start}")
        errors = [
            FieldError(
                pointer=f"/VEVENT/{self.event_index_by_day[day]}/DTSTART",
                detail=f"{day} is not between {start} and {end}",
            )
            for day in named
            if not start <= day <= end
        ]
        if errors:
            raise Invalid("The file contains days outside the given period", errors=errors)
        return start, end


def parse_calendar(body: bytes, zone: ZoneInfo) -> ParsedCalendar:
    """Return the days of a file, in the calendar's time zone.

    Raises `Invalid` with an error per invalid event (counted from 0), or if the file is not iCalendar.
    """
    feed = _parsed(body)
    errors = [_error("/VCALENDAR", name, detail) for name, detail in feed.errors]
    days: dict[date, _Day] = {}
    for index, event in enumerate(feed.walk("VEVENT")):
        try:
            called = title(event)
            for day, interval in dates_of_event(event, zone):
                days.setdefault(day, _Day(index)).add(interval, called)
        except IcalError as fault:
            errors.append(_error(f"/VEVENT/{index}", fault.property_name, fault.detail, event))
    parsed_days = [made for day in sorted(days) if (made := _made(day, days[day], errors)) is not None]
    if len(days) > MAX_DAYS:
        errors.append(FieldError(pointer="/VEVENT", detail=f"The file has more than {MAX_DAYS} days"))
    if errors:
        raise Invalid(f"Errors in the iCalendar file: {len(errors)}", errors=errors[:MAX_SHOWN_ERRORS])
    return ParsedCalendar(parsed_days, {day: known.event_index for day, known in days.items()})


def _parsed(body: bytes) -> Any:
    try:
        with _PARSING:
            # The library remembers time zones that a file defines; they must not apply to the next file.
            tzp.use_default()
            feed = Calendar.from_ical(body.decode("utf-8-sig"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        _refuse(str(error))
    if feed.name != "VCALENDAR":
        _refuse("it does not begin with BEGIN:VCALENDAR")
    return feed


def _refuse(reason: str) -> NoReturn:
    raise Invalid.field("/VCALENDAR", f"This is not an iCalendar file: {one_line(reason)}")


def _error(where: str, name: str | None, detail: str, event: Any = None) -> FieldError:
    uid = one_line(str(event.get("UID", ""))) if event is not None else ""
    named = f"{where}/{name}" if name else where
    return FieldError(pointer=named, detail=f"UID {uid}: {one_line(detail)}" if uid else one_line(detail))


def _made(day: date, known: _Day, errors: list[FieldError]) -> SpecialDayInput | None:
    where = f"/VEVENT/{known.event_index}"
    if known.off and known.intervals:
        errors.append(FieldError(pointer=f"{where}/DTSTART", detail=f"{day} is both a day off and a working day"))
        return None
    try:
        return SpecialDayInput(
            day=day,
            intervals=sorted(known.intervals),
            title="; ".join(filter(None, known.titles)),
        )
    except ValidationError as error:
        errors += [
            FieldError(pointer=f"{where}/{PROPERTY_BY_FIELD[str(item['loc'][0])]}", detail=f"{day}: {item['msg']}")
            for item in error.errors()
        ]
        return None
