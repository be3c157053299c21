"""Working time: plain arithmetic on a calendar's intervals, no database, no clock.

A calendar gives, for each local date, the intervals in which people work. Deadlines add working time to a moment;
the SLA clock measures working time between two moments. Both agree: `between(start, add(start, d)) == d`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MAX_DAYS = 3660  # a calendar without working time must not be searched for ever


@dataclass(frozen=True)
class DayException:
    """A date that differs from the weekly pattern; no intervals means a day off."""

    intervals: tuple[tuple[time, time], ...]
    title: str


@dataclass(frozen=True)
class WorkingCalendar:
    """A weekly pattern (ISO weekday → intervals) with dated exceptions, in one time zone."""

    zone: ZoneInfo
    weekly: Mapping[int, tuple[tuple[time, time], ...]]
    exceptions: Mapping[date, DayException] = field(default_factory=dict)

    def intervals(self, day: date) -> tuple[tuple[time, time], ...]:
        """When people work on this local date."""
        exception = self.exceptions.get(day)
        if exception is not None:
            return exception.intervals
        return self.weekly.get(day.isoweekday(), ())

    def spans(self, day: date) -> list[tuple[datetime, datetime]]:
        """The date's working intervals as moments in UTC."""
        return [
            (
                datetime.combine(day, start, self.zone).astimezone(UTC),
                datetime.combine(day, end, self.zone).astimezone(UTC),
            )
            for start, end in self.intervals(day)
        ]


def _days(calendar: WorkingCalendar, start: datetime) -> Iterator[date]:
    first = start.astimezone(calendar.zone).date()
    for offset in range(MAX_DAYS):
        yield first + timedelta(days=offset)


@dataclass(frozen=True)
class Portion:
    """Working time that falls on one local date, and why the date is unusual when it is."""

    day: date
    worked: timedelta
    title: str | None


def add(calendar: WorkingCalendar, start: datetime, duration: timedelta) -> tuple[datetime, list[Portion]]:
    """The moment when `duration` of working time has passed since `start`, and how it is spread over dates.

    `start` is an aware moment; the result is in UTC. Raises `ValueError` for a calendar that never works.
    """
    left = duration
    portions: list[Portion] = []
    for day in _days(calendar, start):
        worked = timedelta()
        for opens, closes in calendar.spans(day):
            begins = max(opens, start)
            if begins >= closes:
                continue
            step = min(closes - begins, left)
            worked += step
            left -= step
            if left <= timedelta():
                portions.append(_portion(calendar, day, worked))
                return begins + step, portions
        portions.append(_portion(calendar, day, worked))
    raise ValueError("the calendar has no working time")


def between(calendar: WorkingCalendar, start: datetime, end: datetime) -> timedelta:
    """Working time from `start` to `end`; zero when `end` is not after `start`."""
    total = timedelta()
    for day in _days(calendar, start):
        if datetime.combine(day, time.min, calendar.zone) > end:
            break
        for opens, closes in calendar.spans(day):
            total += max(min(closes, end) - max(opens, start), timedelta())
    return total


def _portion(calendar: WorkingCalendar, day: date, worked: timedelta) -> Portion:
    exception = calendar.exceptions.get(day)
    return Portion(day, worked, exception.title if exception else None)


def parse_intervals(pairs: Sequence[Sequence[str]]) -> tuple[tuple[time, time], ...]:
    """`[["09:00", "13:00"], …]` as times. Raises `ValueError` unless they are in order and apart."""
    found = tuple((time.fromisoformat(start), time.fromisoformat(end)) for start, end in pairs)
    flat = [moment for pair in found for moment in pair]
    if flat != sorted(flat) or len(set(flat)) != len(flat):
        raise ValueError("intervals must follow each other without overlap")
    return found
