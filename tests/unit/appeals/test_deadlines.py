"""Deadlines over weekends, lunch, short days and holidays; adding and measuring working time agree."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.appeals.sla import clocks
from services.appeals.sla.breaches import is_overdue
from services.appeals.sla.deadline_snapshot import WorkingDay
from services.appeals.sla.deadlines import DEFAULT_CALENDAR, NamedCalendar, compute_deadline
from services.appeals.sla.policies import policy_in_effect
from shared.tables.appeals import Appeal, SlaPolicy
from shared.working_time import DayException, WorkingCalendar, add_working_time, working_time_between

ZONE = ZoneInfo("Asia/Irkutsk")
OFFICE = ((time(9), time(13)), (time(14), time(18)))
WORKING = WorkingCalendar(
    ZONE,
    dict.fromkeys(range(1, 6), OFFICE),
    {
        date(2026, 2, 18): DayException((), "Сагаалган"),
        date(2026, 2, 20): DayException(((time(9), time(13)), (time(14), time(17))), "Канун праздника"),
        date(2026, 2, 23): DayException((), "День защитника Отечества"),
        date(2026, 2, 28): DayException(OFFICE, "Рабочая суббота"),
    },
)
CALENDAR = NamedCalendar(UUID(int=7), "Бурятия", WORKING)


def policy(
    hours: float = 9, *, starts_from: str = "received", valid_from: int = 2000, urgency: str = "normal"
) -> SlaPolicy:
    """Return a policy in effect since the beginning of a year."""
    return SlaPolicy(
        id=uuid4(),
        name="Обычное",
        urgency=urgency,
        first_response_hours=hours,
        resolution_hours=56,
        starts_from=starts_from,
        valid_from=datetime(valid_from, 1, 1, tzinfo=UTC),
        created_at=datetime(valid_from, 1, 1, tzinfo=UTC),
    )


def local(text: str) -> datetime:
    """Return a moment of 2026 in local time: `MM-DD HH:MM`."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("03-04 09:00", 8, "03-04 18:00"),  # a whole working day without lunch
        ("03-04 10:00", 9, "03-05 11:00"),
        ("03-04 12:30", 1, "03-04 14:30"),  # over lunch
        ("03-04 13:20", 1, "03-04 15:00"),  # begins during lunch
        ("03-04 20:00", 1, "03-05 10:00"),  # begins in the evening
        ("03-05 02:00", 1, "03-05 10:00"),  # begins at night
        ("03-06 16:40", 9, "03-09 17:40"),  # over a weekend
        ("03-07 12:00", 4, "03-09 13:00"),  # begins on a Saturday
        ("02-17 16:00", 4, "02-19 11:00"),  # Сагаалган between
        ("02-18 12:00", 1, "02-19 10:00"),  # begins on Сагаалган
        ("02-20 16:00", 2, "02-24 10:00"),  # a short day, a weekend and a holiday
        ("02-27 17:00", 3, "02-28 11:00"),  # a working Saturday
        ("03-28 17:00", 1, "03-30 10:00"),  # the night when Europe changes its clocks: Irkutsk does not
    ],
)
def test_deadline_is_computed_from_working_time(start: str, hours: float, due: str) -> None:
    computed = compute_deadline(policy(hours), CALENDAR, local(start).astimezone(UTC))
    assert computed.first_response_due_at == local(due)


def test_deadline_is_explained_in_words() -> None:
    clock = compute_deadline(policy(), CALENDAR, local("02-17 16:40")).clock
    assert clock.text == (
        "9 рабочих часов со вторника 17.02 16:40: 17.02 — 1 ч 20 мин; 18.02 — не идёт (Сагаалган); "
        "19.02 — 7 ч 40 мин → четверг 19.02 17:40"
    )
    assert clock.days[1] == WorkingDay(day=date(2026, 2, 18), minutes=0, note="Сагаалган")
    assert clock.calendar == "Бурятия"


@pytest.mark.parametrize(
    ("hours", "words"),
    [(1, "1 рабочий час"), (4, "4 рабочих часа"), (9, "9 рабочих часов"), (11, "11 рабочих часов"),
     (21, "21 рабочий час"), (1.5, "1,5 рабочего часа")],
)  # fmt: skip
def test_hours_are_declined_in_russian(hours: float, words: str) -> None:
    assert compute_deadline(policy(hours), CALENDAR, local("03-04 09:00")).clock.text.startswith(
        words + " со среды"
    )


moments = st.integers(0, 330 * 24 * 3600).map(
    lambda second: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
)
spans = st.timedeltas(timedelta(), timedelta(hours=120))


@given(start=moments, span=spans)
def test_adding_and_measuring_working_time_agree(start: datetime, span: timedelta) -> None:
    due, portions = add_working_time(WORKING, start, span)
    assert working_time_between(WORKING, start, due) == span
    assert sum((part.worked for part in portions), timedelta()) == span
    assert due >= start


@given(start=moments, first=spans, second=spans)
def test_working_time_of_adjacent_spans_adds_up(start: datetime, first: timedelta, second: timedelta) -> None:
    middle, _ = add_working_time(WORKING, start, first)
    end, _ = add_working_time(WORKING, start, first + second)
    assert working_time_between(WORKING, middle, end) == second


def test_policy_in_effect_at_the_moment_is_used() -> None:
    old, new, high = policy(9, valid_from=2000), policy(8, valid_from=2026), policy(4, urgency="high")
    found = [old, new, high]
    assert policy_in_effect(found, "normal", datetime(2025, 12, 31, tzinfo=UTC)) is old
    assert policy_in_effect(found, "normal", datetime(2026, 1, 1, tzinfo=UTC)) is new
    assert policy_in_effect(found, "high", datetime(2026, 6, 1, tzinfo=UTC)) is high
    with pytest.raises(LookupError):
        policy_in_effect(found, "normal", datetime(1999, 1, 1, tzinfo=UTC))


def make_appeal(**values: Any) -> Appeal:
    """Return an appeal with the fields that deadlines use."""
    given_values: dict[str, Any] = {
        "status": "assigned",
        "urgency": "normal",
        "written_at": local("03-04 09:00"),
        "opened_at": local("03-04 10:00"),
        "assigned_at": local("03-04 11:00"),
        "deadline": None,
    }
    return Appeal(**(given_values | values))


@pytest.mark.parametrize(
    ("starts_from", "due"), [("written", "03-04 15:00"), ("received", "03-04 16:00"), ("assigned", "03-04 17:00")]
)
def test_clock_starts_at_the_moment_the_policy_names(starts_from: str, due: str) -> None:
    appeal = make_appeal()
    clocks.start_first_response_clock(appeal, [policy(5, starts_from=starts_from)], CALENDAR)
    assert appeal.first_response_due_at == local(due)
    assert appeal.resolution_due_at is not None


def test_reassignment_changes_the_calendar_but_not_the_start() -> None:
    appeal = make_appeal()
    clocks.start_first_response_clock(appeal, [policy(9)], CALENDAR)
    assert appeal.first_response_due_at == local("03-05 11:00")
    round_the_clock = NamedCalendar(
        None, "Круглосуточно", WorkingCalendar(ZONE, dict.fromkeys(range(1, 8), ((time(0), time(23, 59)),)))
    )
    clocks.recompute_clock(appeal, [policy(9)], round_the_clock)
    assert appeal.first_response_due_at == local("03-04 19:00")


def test_appeal_is_overdue_when_an_awaited_reply_is_late() -> None:
    moment = local("03-10 12:00")
    late, early = local("03-05 11:00"), local("03-20 11:00")
    answered = local("03-05 10:00")
    assert is_overdue(make_appeal(first_response_due_at=late), moment)
    assert not is_overdue(make_appeal(first_response_due_at=early), moment)
    assert not is_overdue(
        make_appeal(first_response_due_at=late, first_response_at=answered, status="answered"), moment
    )
    assert not is_overdue(make_appeal(first_response_due_at=late, status="triage"), moment)
    assert not is_overdue(make_appeal(first_response_due_at=late, status="closed"), moment)
    assert is_overdue(
        make_appeal(first_response_at=answered, status="reopened", next_response_due_at=late), moment
    )
    assert is_overdue(make_appeal(first_response_at=answered, status="interim", promised_at=late), moment)


def test_calendar_without_working_time_falls_back_to_the_default_week() -> None:
    empty = NamedCalendar(uuid4(), "Пустой", WorkingCalendar(CALENDAR.working.zone, {}))
    nine = policy(9)
    made = compute_deadline(nine, empty, local("03-04 09:00"))
    assert made == compute_deadline(nine, DEFAULT_CALENDAR, local("03-04 09:00"))
    assert made.clock.calendar == DEFAULT_CALENDAR.name
