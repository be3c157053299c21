"""The steps of an escalation are due the policy's number of working hours after the deadline."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.appeals.sla.clock_rows import continued_at
from services.appeals.sla.deadlines import ClockEvent, Target, next_working_moment
from services.appeals.sla.escalation_steps import AwaitedDeadline, near_moment
from services.appeals.sla.named_calendar import NamedCalendar
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals_sla import DEFAULT_ESCALATION, SlaClock, SlaClockEvent, SlaPolicy
from shared.working_time import WorkingCalendar
from tests.unit.appeals.sla.product_clocks import calendars

# Tuesday 17 February, 16:00 in the region, which works until 17:00 that day; Wednesday is Сагаалган.
DUE = datetime(2026, 2, 17, 8, 0, tzinfo=UTC)


def awaited(due_at: datetime = DUE, **times: Any) -> AwaitedDeadline:
    policy = SlaPolicy(escalation=DEFAULT_ESCALATION | times)
    return AwaitedDeadline("first_response", due_at, None, calendars()["region"], policy)


def test_hours_after_the_deadline_are_working_hours() -> None:
    assert list(awaited().steps()) == [
        ("manager", DUE),
        ("centre", datetime(2026, 2, 19, 4, 0, tzinfo=UTC)),
        ("deputy_head", datetime(2026, 2, 20, 1, 0, tzinfo=UTC)),
    ]


def test_continued_late_clock_restarts_the_hours_of_each_level() -> None:
    week_later = DUE + timedelta(days=7)
    again = replace(awaited(), continued_at=week_later)
    assert [moment - week_later for _, moment in again.steps()] == [
        timedelta(0),
        timedelta(hours=19),  # until 18:00 on Tuesday, from 9:00 to 11:00 on Wednesday
        timedelta(hours=25),
    ]
    before = replace(awaited(), continued_at=DUE - timedelta(days=1))
    assert list(before.steps()) == list(awaited().steps())


@pytest.mark.parametrize("kind", ["resumed", "reopened", "answer_withdrawn"])
def test_clock_continues_at_its_last_resuming_event(kind: str) -> None:
    stood, went_on = DUE, DUE + timedelta(hours=5)
    row = SlaClock(events=[SlaClockEvent(kind="stopped", at=stood), SlaClockEvent(kind=kind, at=went_on)])
    assert continued_at(row) == went_on
    assert continued_at(SlaClock(events=row.events[:1])) is None


def test_deadline_at_night_is_escalated_in_the_morning() -> None:
    step, moment = next(awaited(datetime(2026, 2, 16, 15, 0, tzinfo=UTC)).steps())
    assert (step, moment) == ("manager", datetime(2026, 2, 17, 1, 0, tzinfo=UTC))


def test_level_without_hours_is_skipped() -> None:
    assert [step for step, _ in awaited(manager_hours=None, centre_hours=None).steps()] == ["deputy_head"]
    assert awaited(manager_hours=None, centre_hours=None, deputy_head_hours=None).first_moment() is None


def test_executor_is_notified_when_the_share_of_time_is_used() -> None:
    start = datetime(2026, 2, 16, 1, 0, tzinfo=UTC)
    target = Target(timedelta(hours=5))
    events = [ClockEvent(1, "started", start, start, calendars()["region"], target)]
    # Four hours from 9:00 end at 13:00, when lunch begins; work continues at 14:00.
    policy = SlaPolicy(escalation=DEFAULT_ESCALATION)
    assert near_moment(events, policy) == datetime(2026, 2, 16, 6, 0, tzinfo=UTC)
    assert near_moment(events, SlaPolicy(escalation=DEFAULT_ESCALATION | {"executor_share": None})) is None


def test_organisation_without_working_time_is_notified_by_the_default_calendar() -> None:
    idle = NamedCalendar(None, "Без рабочего времени", WorkingCalendar(REGION_TIME_ZONE, {}))
    evening, morning = datetime(2026, 2, 16, 15, 0, tzinfo=UTC), datetime(2026, 2, 17, 1, 0, tzinfo=UTC)
    assert next_working_moment(idle, evening) == morning
    events = [ClockEvent(1, "started", evening, evening, idle, Target(timedelta(hours=4)))]
    assert near_moment(events, SlaPolicy(escalation={"executor_share": 0.25})) == datetime(
        2026, 2, 17, 2, 0, tzinfo=UTC
    )
