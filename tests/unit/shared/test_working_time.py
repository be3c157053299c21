"""Working time: lunch, nights, weekends and named days do not count."""

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
def test_add(calendar: WorkingCalendar, start: datetime, hours: float, due: datetime) -> None:
    assert working_time.add(calendar, start, timedelta(hours=hours))[0] == due


def test_portions_tell_where_the_time_went_and_why_a_day_is_unusual() -> None:
    _, portions = working_time.add(BUSY, local(17, 16), timedelta(hours=9))
    assert [(p.day, p.worked, p.title) for p in portions] == [
        (date(2026, 2, 17), timedelta(hours=2), None),
        (date(2026, 2, 18), timedelta(0), "Сагаалган"),
        (date(2026, 2, 19), timedelta(hours=7), None),
    ]


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001 — made aware below
    minutes=st.integers(1, 60 * 80),
)
def test_the_clock_measures_what_the_deadline_added(start: datetime, minutes: int) -> None:
    begin = start.replace(tzinfo=UTC)
    duration = timedelta(minutes=minutes)
    due, portions = working_time.add(BUSY, begin, duration)
    assert working_time.between(BUSY, begin, due) == duration
    assert sum((p.worked for p in portions), timedelta()) == duration


def test_no_time_passes_backwards() -> None:
    assert working_time.between(PLAIN, local(3, 12), local(3, 10)) == timedelta()


def test_a_calendar_that_never_works_is_refused() -> None:
    with pytest.raises(ValueError, match="no working time"):
        working_time.add(WorkingCalendar(ZONE, {}), local(2, 9), timedelta(hours=1))


@pytest.mark.parametrize("pairs", [[["10:00", "09:00"]], [["09:00", "12:00"], ["11:00", "13:00"]], [["09:00"]]])
def test_overlapping_or_backward_intervals_are_refused(pairs: list[list[str]]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        working_time.parse_intervals(pairs)
