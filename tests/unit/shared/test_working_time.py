"""Working time excludes lunch, nights, weekends and exceptions."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import working_time
from shared.working_time import DayException, WorkingCalendar

ZONE = ZoneInfo("Asia/Irkutsk")
DAY = ((time(9), time(13)), (time(14), time(18)))
WEEK = dict.fromkeys(range(1, 6), DAY)
PLAIN = WorkingCalendar(ZONE, WEEK)
BUSY = WorkingCalendar(
    ZONE,
    WEEK,
    {
        date(2026, 2, 18): DayException((), "Сагаалган"),
        date(2026, 2, 20): DayException(((time(9), time(13)), (time(14), time(17))), "короткий день"),
        date(2026, 2, 23): DayException((), "День защитника Отечества"),
    },
)


def local(day: int, hour: int, minute: int = 0, month: int = 2) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("calendar", "start", "hours", "due"),
    [
        (PLAIN, local(2, 9), 4, local(2, 13)),
        (PLAIN, local(2, 9), 5, local(2, 15)),
        (PLAIN, local(2, 13, 30), 1, local(2, 15)),
        (PLAIN, local(2, 16, 40), 9, local(3, 17, 40)),
        (PLAIN, local(6, 16, 40), 9, local(9, 17, 40)),
        (PLAIN, local(7, 3), 8, local(9, 18)),
        (PLAIN, local(2, 23), 1, local(3, 10)),
        (BUSY, local(17, 16), 9, local(19, 17)),
        (BUSY, local(20, 16, 40), 9, local(25, 9, 40)),
    ],
)
def test_working_time_is_added(calendar: WorkingCalendar, start: datetime, hours: float, due: datetime) -> None:
    assert working_time.add_working_time(calendar, start, timedelta(hours=hours))[0] == due


def test_day_shares_have_times_and_titles() -> None:
    _, portions = working_time.add_working_time(BUSY, local(17, 16), timedelta(hours=9))
    assert [(p.day, p.worked, p.title) for p in portions] == [
        (date(2026, 2, 17), timedelta(hours=2), None),
        (date(2026, 2, 18), timedelta(0), "Сагаалган"),
        (date(2026, 2, 19), timedelta(hours=7), None),
    ]


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001 — made aware below
    minutes=st.integers(1, 60 * 80),
)
def test_measured_time_equals_added_time(start: datetime, minutes: int) -> None:
    begin = start.replace(tzinfo=UTC)
    duration = timedelta(minutes=minutes)
    due, portions = working_time.add_working_time(BUSY, begin, duration)
    assert working_time.working_time_between(BUSY, begin, due) == duration
    assert sum((p.worked for p in portions), timedelta()) == duration


def test_no_working_time_between_reversed_moments() -> None:
    assert working_time.working_time_between(PLAIN, local(3, 12), local(3, 10)) == timedelta()


def test_calendar_without_working_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no working time"):
        working_time.add_working_time(WorkingCalendar(ZONE, {}), local(2, 9), timedelta(hours=1))


@pytest.mark.parametrize(
    "pairs",
    [
        [["10:00", "09:00"]],
        [["09:00", "12:00"], ["11:00", "13:00"]],
        [["09:00"]],
        [["09:00", "00:00"]],
        [["24:00", "24:00"]],
        [["20:00", "24:00"], ["21:00", "22:00"]],
    ],
)
def test_overlapping_or_unordered_intervals_are_refused(pairs: list[list[str]]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        working_time.parse_intervals(pairs)


def test_intervals_until_midnight_are_counted() -> None:
    written = [["00:00", "02:30"], ["10:00", "11:00"], ["20:00", "24:00"]]
    shifts = working_time.parse_intervals(written)
    assert working_time.format_intervals(shifts) == written
    assert working_time.total_duration(shifts) == timedelta(hours=7, minutes=30)
    calendar = WorkingCalendar(ZONE, dict.fromkeys(range(1, 8), shifts))
    due, _ = working_time.add_working_time(calendar, local(2, 23), timedelta(hours=2))
    assert due == local(3, 1)
    assert working_time.working_time_between(calendar, local(2, 0), local(3, 0)) == timedelta(hours=7, minutes=30)


def test_calendar_around_the_clock_counts_every_minute() -> None:
    whole = WorkingCalendar(ZONE, dict.fromkeys(range(1, 8), working_time.parse_intervals([["00:00", "24:00"]])))
    assert working_time.add_working_time(whole, local(2, 9), timedelta(hours=72))[0] == local(5, 9)


def test_short_day_is_shortened_at_its_end() -> None:
    intervals = working_time.parse_intervals([["09:00", "13:00"], ["14:00", "14:30"]])

    def less(minutes: int) -> list[list[str]]:
        return working_time.format_intervals(working_time.shorten(intervals, timedelta(minutes=minutes)))

    assert less(60) == [["09:00", "12:30"]]
    assert less(30) == [["09:00", "13:00"]]
    assert less(0) == [["09:00", "13:00"], ["14:00", "14:30"]]
    assert less(300) == []
    night = working_time.parse_intervals([["20:00", "24:00"]])
    assert working_time.shorten(night, timedelta(hours=1)) == ((time(20), time(23)),)


def test_moved_working_day_is_adapted_to_another_week() -> None:
    region = {1: ((time(9), time(18)),)}
    shifts = {2: ((time(7), time(19)),)}
    saturday = date(2025, 11, 1)
    assert working_time.adapt_exception(saturday, ((time(9), time(17)),), region, shifts) == ((time(7), time(18)),)
    assert working_time.adapt_exception(saturday, (), region, shifts) == ()


def test_calendar_inherits_exceptions_of_its_base() -> None:
    six = ((time(8), time(15)),)
    own = {
        date(2026, 2, 23): DayException(((time(10), time(12)),), "Дежурство"),
        date(2026, 2, 25): DayException((), "Карантин"),
    }
    school = WorkingCalendar(ZONE, dict.fromkeys(range(1, 7), six), own, BUSY)
    assert school.exception_dates() == [date(2026, 2, day) for day in (18, 20, 23, 25)]
    assert school.intervals(date(2026, 2, 18)) == ()
    assert school.intervals(date(2026, 2, 20)) == (
        (time(8), time(14)),
    )  # an hour shorter than the school's own day
    assert school.intervals(date(2026, 2, 21)) == six
    assert school.exception(date(2026, 2, 23)) == own[date(2026, 2, 23)]  # its own exception overrides the base's
    _, portions = working_time.add_working_time(school, local(24, 14), timedelta(hours=2))
    assert [(part.day, part.title) for part in portions] == [
        (date(2026, 2, 24), None), (date(2026, 2, 25), "Карантин"), (date(2026, 2, 26), None),
    ]  # fmt: skip
    above = WorkingCalendar(ZONE, school.weekly, {}, school)
    assert above.exception(date(2026, 2, 25)) == own[date(2026, 2, 25)]
    same_week = WorkingCalendar(ZONE, BUSY.weekly, {}, BUSY)
    assert same_week.exception(date(2026, 2, 20)) == BUSY.exception(date(2026, 2, 20))
