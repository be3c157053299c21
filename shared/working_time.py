"""Working time arithmetic on the intervals of a calendar, without database and clock.

A calendar defines the working intervals of each local date. Deadlines add working time to a moment; the SLA clock
measures working time between two moments. The two are consistent:
`working_time_between(start, add_working_time(start, d)) == d`.

An interval that ends at `time.min` ends at midnight, at the end of the day; its text form is "24:00".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Intervals = tuple[tuple[time, time], ...]

END_OF_DAY = "24:00"
ONE_DAY = timedelta(days=1)
MAX_DAYS = 3660  # how far ahead working time is searched for in a calendar that may have none


@dataclass(frozen=True)
class DayException:
    """A date that differs from the weekly pattern; no intervals means a day off."""

    intervals: Intervals
    title: str


@dataclass(frozen=True)
class WorkingCalendar:
    """A weekly pattern (ISO weekday → intervals) with dated exceptions, in one time zone.

    A calendar with a `base` inherits the base's exceptions, adapted to its own week, except for dates with its own
    exceptions.
    """

    zone: ZoneInfo
    weekly: Mapping[int, Intervals]
    exceptions: Mapping[date, DayException] = field(default_factory=dict)
    base: "WorkingCalendar | None" = None
    _intervals_utc: dict[date, Sequence[tuple[datetime, datetime]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def exception(self, day: date) -> DayException | None:
        """Return the exception of this local date, or None."""
        exception = self.exceptions.get(day)
        if exception is not None or self.base is None:
            return exception
        inherited = self.base.exception(day)
        if inherited is None or self.weekly == self.base.weekly:
            return inherited
        return DayException(
            adapt_exception(day, inherited.intervals, self.base.weekly, self.weekly), inherited.title
        )

    def exception_dates(self) -> list[date]:
        """Return all dates with an exception, in order."""
        return sorted({*self.exceptions, *(self.base.exception_dates() if self.base else ())})

    def intervals(self, day: date) -> Intervals:
        """Return the working intervals of this local date."""
        exception = self.exception(day)
        if exception is not None:
            return exception.intervals
        return self.weekly.get(day.isoweekday(), ())

    def working_intervals_utc(self, day: date) -> Sequence[tuple[datetime, datetime]]:
        """Return the date's working intervals in UTC; the result is cached."""
        known = self._intervals_utc.get(day)
        if known is None:
            known = self._intervals_utc[day] = tuple(
                (
                    datetime.combine(day, start, self.zone).astimezone(UTC),
                    datetime.combine(day if end > time.min else day + ONE_DAY, end, self.zone).astimezone(UTC),
                )
                for start, end in self.intervals(day)
            )
        return known


def _days(calendar: WorkingCalendar, start: datetime) -> Iterator[date]:
    first = start.astimezone(calendar.zone).date()
    for offset in range(MAX_DAYS):
        yield first + timedelta(days=offset)


@dataclass(frozen=True)
class DayShare:
    """Working time on one local date, and the title of the date's exception."""

    day: date
    worked: timedelta
    title: str | None


def add_working_time(
    calendar: WorkingCalendar, start: datetime, duration: timedelta
) -> tuple[datetime, list[DayShare]]:
    """Return the moment when `duration` of working time has passed since `start`, and its shares by date.

    `start` is timezone-aware; the result is in UTC. Raise `ValueError` for a calendar without working time.
    """
    left = duration
    shares: list[DayShare] = []
    for day in _days(calendar, start):
        worked = timedelta()
        for opens, closes in calendar.working_intervals_utc(day):
            begins = max(opens, start)
            if begins >= closes:
                continue
            step = min(closes - begins, left)
            worked += step
            left -= step
            if left <= timedelta():
                shares.append(_day_share(calendar, day, worked))
                return begins + step, shares
        shares.append(_day_share(calendar, day, worked))
    raise ValueError("the calendar has no working time")


def working_time_between(calendar: WorkingCalendar, start: datetime, end: datetime) -> timedelta:
    """Return the working time from `start` to `end`; zero if `end` is not after `start`."""
    total = timedelta()
    for day in _days(calendar, start):
        if datetime.combine(day, time.min, calendar.zone) > end:
            break
        for opens, closes in calendar.working_intervals_utc(day):
            total += max(min(closes, end) - max(opens, start), timedelta())
    return total


def is_working_moment(calendar: WorkingCalendar, moment: datetime) -> bool:
    """Return whether the moment lies in a working interval."""
    day = moment.astimezone(calendar.zone).date()
    return any(opens <= moment < closes for opens, closes in calendar.working_intervals_utc(day))


def _day_share(calendar: WorkingCalendar, day: date, worked: timedelta) -> DayShare:
    exception = calendar.exception(day)
    return DayShare(day, worked, exception.title if exception else None)


def parse_intervals(pairs: Sequence[Sequence[str]]) -> Intervals:
    """Return the intervals parsed from `[["09:00", "13:00"], …]`.

    Raise `ValueError` unless each interval ends after it starts and begins later than the previous one ends.
    """
    found = tuple(
        (time.fromisoformat(start), time.min if end == END_OF_DAY else time.fromisoformat(end))
        for start, end in pairs
    )
    flat = [
        moment
        for (start, end), (_, written) in zip(found, pairs, strict=True)
        for moment in (_since_midnight(start), ONE_DAY if written == END_OF_DAY else _since_midnight(end))
    ]
    if flat != sorted(flat) or len(set(flat)) != len(flat):
        raise ValueError(
            "each interval must end after it starts and begin later than the previous one ends: join adjacent ones"
        )
    return found


def format_intervals(intervals: Intervals) -> list[list[str]]:
    """Return the intervals in the form that `parse_intervals` reads."""
    return [[f"{start:%H:%M}", END_OF_DAY if end == time.min else f"{end:%H:%M}"] for start, end in intervals]


def _since_midnight(moment: time) -> timedelta:
    return datetime.combine(date.min, moment) - datetime.combine(date.min, time.min)


def total_duration(intervals: Intervals) -> timedelta:
    """Return the total working time of the intervals."""
    return sum(
        (((_since_midnight(end) or ONE_DAY) - _since_midnight(start)) for start, end in intervals), timedelta()
    )


def shorten(intervals: Intervals, by: timedelta) -> Intervals:
    """Return the intervals shortened by this working time at their end."""
    kept = list(intervals)
    while kept and by > timedelta():
        start, _ = kept.pop()
        lasted = total_duration(intervals[len(kept) : len(kept) + 1])
        if lasted > by:
            kept.append((start, (datetime.combine(date.min, start) + lasted - by).time()))
        by -= lasted
    return tuple(kept)


def adapt_exception(
    day: date, intervals: Intervals, from_week: Mapping[int, Intervals], to_week: Mapping[int, Intervals]
) -> Intervals:
    """Return the intervals of an exception, adapted to another week: a short day is shortened by the same time.

    A day off stays a day off. A working day on a weekday that is usually off gets the hours of the first working
    day of the week.
    """
    if not intervals:
        return ()
    weekday = day.isoweekday()
    reduction = total_duration(from_week.get(weekday) or _first_working_day(from_week)) - total_duration(intervals)
    return shorten(to_week.get(weekday) or _first_working_day(to_week), reduction)


def _first_working_day(weekly: Mapping[int, Intervals]) -> Intervals:
    return next((weekly[weekday] for weekday in sorted(weekly) if weekly[weekday]), ())
