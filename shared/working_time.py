"""Working time: plain arithmetic on a calendar's intervals, no database, no clock.

A calendar gives, for each local date, the intervals in which people work. Deadlines add working time to a moment;
the SLA clock measures working time between two moments. Both agree: `between(start, add(start, d)) == d`.

An interval that ends at `time.min` ends with the day, at midnight; written it is "24:00".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Intervals = tuple[tuple[time, time], ...]

END_OF_DAY = "24:00"
A_DAY = timedelta(days=1)
MAX_DAYS = 3660  # a calendar without working time must not be searched for ever


@dataclass(frozen=True)
class DayException:
    """A date that differs from the weekly pattern; no intervals means a day off."""

    intervals: Intervals
    title: str


@dataclass(frozen=True)
class WorkingCalendar:
    """A weekly pattern (ISO weekday → intervals) with dated exceptions, in one time zone.

    A calendar on top of a `base` has the base's exceptions too, fitted to its own week, but for dates that it
    names itself.
    """

    zone: ZoneInfo
    weekly: Mapping[int, Intervals]
    exceptions: Mapping[date, DayException] = field(default_factory=dict)
    base: "WorkingCalendar | None" = None
    _spans: dict[date, Sequence[tuple[datetime, datetime]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def exception(self, day: date) -> DayException | None:
        """What is special about this local date."""
        own = self.exceptions.get(day)
        if own is not None or self.base is None:
            return own
        below = self.base.exception(day)
        if below is None or self.weekly == self.base.weekly:
            return below
        return DayException(fitted(day, below.intervals, self.base.weekly, self.weekly), below.title)

    def special_days(self) -> list[date]:
        """Every date that has an exception, in order."""
        return sorted({*self.exceptions, *(self.base.special_days() if self.base else ())})

    def intervals(self, day: date) -> Intervals:
        """When people work on this local date."""
        exception = self.exception(day)
        if exception is not None:
            return exception.intervals
        return self.weekly.get(day.isoweekday(), ())

    def spans(self, day: date) -> Sequence[tuple[datetime, datetime]]:
        """The date's working intervals as moments in UTC; a date is reckoned once."""
        known = self._spans.get(day)
        if known is None:
            known = self._spans[day] = tuple(
                (
                    datetime.combine(day, start, self.zone).astimezone(UTC),
                    datetime.combine(day if end > time.min else day + A_DAY, end, self.zone).astimezone(UTC),
                )
                for start, end in self.intervals(day)
            )
        return known


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
    exception = calendar.exception(day)
    return Portion(day, worked, exception.title if exception else None)


def parse_intervals(pairs: Sequence[Sequence[str]]) -> Intervals:
    """`[["09:00", "13:00"], …]` as times. Raises `ValueError` unless they are in order and apart."""
    found = tuple(
        (time.fromisoformat(start), time.min if end == END_OF_DAY else time.fromisoformat(end))
        for start, end in pairs
    )
    flat = [
        moment
        for (start, end), (_, written) in zip(found, pairs, strict=True)
        for moment in (_since_midnight(start), A_DAY if written == END_OF_DAY else _since_midnight(end))
    ]
    if flat != sorted(flat) or len(set(flat)) != len(flat):
        raise ValueError("intervals must follow each other without overlap")
    return found


def format_intervals(intervals: Intervals) -> list[list[str]]:
    """The inverse of `parse_intervals`."""
    return [[f"{start:%H:%M}", END_OF_DAY if end == time.min else f"{end:%H:%M}"] for start, end in intervals]


def _since_midnight(moment: time) -> timedelta:
    return datetime.combine(date.min, moment) - datetime.combine(date.min, time.min)


def length(intervals: Intervals) -> timedelta:
    """Working time of a day with these intervals."""
    return sum(
        (((_since_midnight(end) or A_DAY) - _since_midnight(start)) for start, end in intervals), timedelta()
    )


def shortened(intervals: Intervals, by: timedelta) -> Intervals:
    """The intervals with so much less working time, taken from their end."""
    kept = list(intervals)
    while kept and by > timedelta():
        start, _ = kept.pop()
        lasted = length(intervals[len(kept) : len(kept) + 1])
        if lasted > by:
            kept.append((start, (datetime.combine(date.min, start) + lasted - by).time()))
        by -= lasted
    return tuple(kept)


def fitted(day: date, special: Intervals, of: Mapping[int, Intervals], to: Mapping[int, Intervals]) -> Intervals:
    """A special day of one week's pattern as it is in another's: off stays off, an hour less stays an hour less.

    A working day on a weekday that is usually off is as long as the week's first working day.
    """
    if not special:
        return ()
    weekday = day.isoweekday()
    less = length(of.get(weekday) or _usual(of)) - length(special)
    return shortened(to.get(weekday) or _usual(to), less)


def _usual(weekly: Mapping[int, Intervals]) -> Intervals:
    return next((weekly[weekday] for weekday in sorted(weekly) if weekly[weekday]), ())
