"""Deadlines over weekends, lunch, short days and holidays; adding and measuring working time agree."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from time_machine import TimeMachineFixture

from services.appeals.sla import clocks
from services.appeals.sla.breaches import is_overdue
from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.deadlines import ClockEvent, ClockReading, Target, read_clock
from services.appeals.sla.explanation import explain_deadline
from services.appeals.sla.named_calendar import DEFAULT_CALENDAR, NamedCalendar
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import DEFAULT_ESCALATION, SlaPolicy
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
ROUND_THE_CLOCK = NamedCalendar(
    UUID(int=8), "Круглосуточно", WorkingCalendar(ZONE, dict.fromkeys(range(1, 8), ((time(0), time(23, 59)),)))
)
OFFICE_BODY, ROUND_THE_CLOCK_BODY = UUID(int=1), UUID(int=2)


def policy(hours: float = 9, **values: Any) -> SlaPolicy:
    """Return a policy in effect since 2000."""
    since = datetime(2000, 1, 1, tzinfo=UTC)
    given_values: dict[str, Any] = {
        "id": uuid4(), "policy_key": uuid4(), "version": 1, "name": "Обычное", "urgency": None,
        "first_response_hours": hours, "first_response_unit": "working", "resolution_hours": 56,
        "resolution_unit": "working", "promise_unit": "working", "return_unit": "working",
        "starts_from": "received", "valid_from": since, "created_at": since,
        "warn_at": [],
        "escalation": DEFAULT_ESCALATION,
    }  # fmt: skip
    return SlaPolicy(**(given_values | values))


def context(*policies: SlaPolicy) -> SlaContext:
    """Return a context with two organisations, one of which works around the clock."""
    return SlaContext(
        policies,
        {},
        CalendarLookup(
            default=CALENDAR,
            _by_id={UUID(int=7): CALENDAR, UUID(int=8): ROUND_THE_CLOCK},
            _chosen={OFFICE_BODY: UUID(int=7), ROUND_THE_CLOCK_BODY: UUID(int=8)},
        ),
    )


def local(text: str) -> datetime:
    """Return the moment of a text `MM-DD HH:MM`, in 2026 and local time."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=ZONE)


def reading(start: str, hours: float, calendar: NamedCalendar = CALENDAR) -> ClockReading:
    """Return the reading of a clock that has only been started."""
    begins = local(start).astimezone(UTC)
    return read_clock([ClockEvent(1, "started", begins, begins, calendar, Target(timedelta(hours=hours)))])


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
    assert reading(start, hours).due_at == local(due)


def test_deadline_is_explained_in_words() -> None:
    assert explain_deadline(reading("02-17 16:40", 9)) == (
        "9 рабочих часов со вторника 17.02 16:40: 17.02 — 1 ч 20 мин; 18.02 — не идёт (Сагаалган); "
        "19.02 — 7 ч 40 мин → четверг 19.02 17:40"
    )


@pytest.mark.parametrize(
    ("hours", "words"),
    [(1, "1 рабочий час"), (4, "4 рабочих часа"), (9, "9 рабочих часов"), (11, "11 рабочих часов"),
     (21, "21 рабочий час"), (1.5, "1,5 рабочего часа")],
)  # fmt: skip
def test_hours_are_declined_in_russian(hours: float, words: str) -> None:
    assert explain_deadline(reading("03-04 09:00", hours)).startswith(words + " со среды")


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


def make_appeal(**values: Any) -> Appeal:
    """Return an appeal with the fields that deadlines use."""
    given_values: dict[str, Any] = {
        "status": "assigned",
        "urgency": "normal",
        "written_at": local("03-04 09:00"),
        "opened_at": local("03-04 10:00"),
        "assigned_at": local("03-04 11:00"),
        "organisation_id": OFFICE_BODY,
    }
    return Appeal(**(given_values | values))


@pytest.mark.parametrize(
    ("starts_from", "due"), [("written", "03-04 15:00"), ("received", "03-04 16:00"), ("assigned", "03-04 17:00")]
)
def test_clock_starts_at_the_moment_given_by_the_policy(starts_from: str, due: str) -> None:
    appeal = make_appeal()
    clocks.start_first_response_clock(appeal, context(policy(5, starts_from=starts_from)), "system")
    assert appeal.first_response_due_at == local(due)
    assert appeal.resolution_due_at is not None


def test_time_used_before_a_transfer_stays_counted_in_the_earlier_calendar(
    time_machine: TimeMachineFixture,
) -> None:
    appeal, sla = make_appeal(), context(policy(9))
    clocks.start_first_response_clock(appeal, sla, "system")
    assert appeal.first_response_due_at == local("03-05 11:00")
    time_machine.move_to(local("03-04 17:00"), tick=False)
    appeal.organisation_id = ROUND_THE_CLOCK_BODY
    clocks.follow_appeal(appeal, sla, "system")
    # Six hours from 10:00 to 17:00 with lunch, and three in the new calendar.
    assert appeal.first_response_due_at == local("03-04 20:00")


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
    empty = NamedCalendar(uuid4(), "Пустой", WorkingCalendar(ZONE, {}))
    assert reading("03-04 09:00", 9, empty) == reading("03-04 09:00", 9, DEFAULT_CALENDAR)
