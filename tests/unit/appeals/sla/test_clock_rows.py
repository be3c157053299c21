"""Clocks of an appeal in memory: the stored values equal those computed from the event rows, after any steps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from services.appeals.sla import clocks
from services.appeals.sla.breaches import late_clocks
from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.clock_extensions import extend_clock
from services.appeals.sla.clock_rows import (
    STARTED_STATES,
    all_events,
    events_of,
    last_of_kind,
    reopened_after,
    store_results,
    unfinished,
)
from services.appeals.sla.deadlines import read_clock
from services.appeals.sla.limits import latest_promise, return_until
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import DEFAULT_ESCALATION, UNFINISHED_CLOCK_STATES, SlaClock, SlaPolicy
from tests.unit.appeals.sla.product_clocks import calendars

ORGANISATIONS = {UUID(int=number): key for number, key in enumerate(("region", "duty", "split", "night"), start=1)}
OPENED = datetime(2026, 2, 16, 2, 0, tzinfo=UTC)
RESULTS = (
    "state",
    "due_at",
    "started_at",
    "stopped_at",
    "used_seconds",
    "on_time",
    "explanation",
    "next_warning_at",
    "unextended_due_at",
)


def policy(name: str, hours: float, **values: Any) -> SlaPolicy:
    since = datetime(2000, 1, 1, tzinfo=UTC)
    defaults: dict[str, Any] = {
        "id": uuid4(), "policy_key": uuid4(), "version": 1, "name": name, "first_response_hours": hours,
        "first_response_unit": "working", "resolution_hours": 56, "resolution_unit": "working",
        "promise_unit": "working", "return_unit": "working", "starts_from": "received", "valid_from": since,
        "created_at": since, "warn_at": [0.5, 0.8], "escalation": DEFAULT_ESCALATION,
    }  # fmt: skip
    return SlaPolicy(**(defaults | values))


def context(*more: SlaPolicy) -> SlaContext:
    return SlaContext(
        (policy("Обычное", 9), policy("Срочное", 4, urgency="high"), *more),
        {},
        CalendarLookup(
            default=calendars()["region"],
            _by_id={calendar.id: calendar for calendar in calendars().values() if calendar.id},
            _chosen={organisation: calendars()[key].id for organisation, key in ORGANISATIONS.items()},
        ),
    )


def appeal_of(organisation: int = 1, **values: Any) -> Appeal:
    defaults: dict[str, Any] = {
        "id": uuid4(), "status": "assigned", "urgency": "normal", "written_at": OPENED - timedelta(minutes=5),
        "opened_at": OPENED, "assigned_at": OPENED + timedelta(hours=1), "organisation_id": UUID(int=organisation),
    }  # fmt: skip
    return Appeal(**(defaults | values))


def apply_step(appeal: Appeal, sla: SlaContext, step: str, now: datetime) -> None:
    """Apply a step of a message, a reply or a person to the clocks, if it is possible now."""
    if step in {"region", "duty", "split", "night"}:
        appeal.organisation_id = next(found for found, key in ORGANISATIONS.items() if key == step)
        clocks.follow_appeal(appeal, sla, "person")
    elif step == "return":
        appeal.organisation_id = None
        clocks.follow_appeal(appeal, sla, "person")
    elif step in {"normal", "high"}:
        appeal.urgency = step
        clocks.follow_appeal(appeal, sla, "person")
    elif step == "pause":
        clocks.pause_clocks(appeal, sla, "person", "Ждём адрес")
    elif step == "resume":
        clocks.resume_clocks(appeal, sla, "person", None)
    elif step == "extend":
        for row in appeal.clocks:
            if row.state in STARTED_STATES:
                extend_clock(appeal, row, 5_400, sla, "person")
    elif step == "reopen":
        clocks.await_reply(appeal, sla, message_id=None, written_at=now, received_at=now)
        if appeal.first_response_at is not None:
            clocks.start_next_response_clock(appeal, sla, "system")
    else:
        clocks.stop_clocks(appeal, now, sla, "person", is_final=step == "final")


STEPS = st.sampled_from([
    "region", "duty", "split", "night", "return", "normal", "high", "pause", "resume", "extend", "reopen",
    "final",    "interim",
])  # fmt: skip


@settings(max_examples=200)
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 3 * 1440)), max_size=12))
def test_stored_values_equal_those_recomputed_from_rows(steps: list[tuple[str, int]]) -> None:
    appeal, sla, now = appeal_of(), context(), OPENED
    with time_machine.travel(now, tick=False) as machine:
        clocks.start_first_response_clock(appeal, sla, "system")
        for step, minutes in steps:
            now += timedelta(minutes=minutes)
            machine.move_to(now, tick=False)
            apply_step(appeal, sla, step, now)
    for row in appeal.clocks:
        assert [event.sequence for event in all_events(row)] == list(range(1, len(all_events(row)) + 1))
        before = {name: getattr(row, name) for name in RESULTS}
        store_results(row, sla)
        assert {name: getattr(row, name) for name in RESULTS} == before
    kept = [row.kind for row in appeal.clocks if row.state in UNFINISHED_CLOCK_STATES]
    assert len(kept) == len(set(kept))
    first, final = last_of_kind(appeal, "first_response"), last_of_kind(appeal, "final_answer")
    assert first is not None
    assert final is not None
    assert (appeal.first_response_due_at, appeal.resolution_due_at) == (first.due_at, final.due_at)
    following = unfinished(appeal, "next_response")
    assert appeal.next_response_due_at == (following.due_at if following else None)
    assert (appeal.first_response_at is not None) == (first.state == "stopped")


def test_paused_clock_has_no_deadline_until_it_is_resumed(time_machine: Any) -> None:
    appeal, sla = appeal_of(), context()
    clocks.start_first_response_clock(appeal, sla, "system")
    time_machine.move_to(OPENED + timedelta(hours=2), tick=False)
    paused = clocks.pause_clocks(appeal, sla, "person", "Ждём адрес")
    assert [row.kind for row in paused] == ["first_response", "final_answer"]
    assert (appeal.first_response_due_at, appeal.resolution_due_at) == (None, None)
    assert clocks.pause_clocks(appeal, sla, "person", "Ещё раз") == []
    time_machine.move_to(OPENED + timedelta(days=2), tick=False)
    clocks.resume_clocks(appeal, sla, "person", None)
    assert appeal.first_response_due_at is not None
    assert clocks.resume_clocks(appeal, sla, "person", None) == []


def test_transfer_to_another_kind_of_organisation_changes_the_policy_not_the_start() -> None:
    fast = policy("Дежурные", 1, organisation_kind="duty_service")
    appeal, sla = appeal_of(), context(fast)
    sla.calendars._kinds[UUID(int=2)] = "duty_service"
    clocks.start_first_response_clock(appeal, sla, "system")
    appeal.organisation_id = UUID(int=2)
    clocks.follow_appeal(appeal, sla, "person")
    row = last_of_kind(appeal, "first_response")
    assert row is not None
    assert [event.kind for event in row.events] == ["started", "moved", "policy_changed"]
    assert (row.policy_id, row.started_at) == (fast.id, OPENED)
    appeal.organisation_id = None
    clocks.follow_appeal(appeal, sla, "person")
    assert row.policy_id == fast.id
    assert row.events[-1].kind == "moved"


def test_edited_policy_does_not_change_a_running_clock() -> None:
    appeal, sla = appeal_of(), context()
    clocks.start_first_response_clock(appeal, sla, "system")
    row, due = last_of_kind(appeal, "first_response"), appeal.first_response_due_at
    assert row is not None
    old = sla.policy(row.policy_id)
    assert old is not None
    old.valid_until = OPENED + timedelta(hours=1)
    newer = policy("Обычное", 2, policy_key=old.policy_key, version=2, valid_from=old.valid_until)
    changed = SlaContext((*sla.policies, newer), {}, sla.calendars)
    clocks.follow_appeal(appeal, changed, "person")
    assert (row.policy_id, appeal.first_response_due_at) == (old.id, due)


def test_start_is_stored_as_an_event_before_the_policy_changes() -> None:
    appeal, sla = appeal_of(), context()
    clocks.start_first_response_clock(appeal, sla, "system")
    row = last_of_kind(appeal, "first_response")
    assert row is not None
    assert (row.events, [event.kind for event in all_events(row)]) == ([], ["started"])
    clocks.pause_clocks(appeal, sla, "person", "Ждём адрес")
    assert [(event.sequence, event.kind) for event in row.events] == [(2, "paused")]
    normal = row.policy_id
    appeal.urgency = "high"
    clocks.follow_appeal(appeal, sla, "person")
    assert [(event.sequence, event.kind) for event in row.events] == [
        (1, "started"), (2, "paused"), (3, "policy_changed"),
    ]  # fmt: skip
    assert (row.events[0].policy_id, row.events[0].target_seconds, row.target_seconds) == (normal, 32_400, 14_400)
    assert row.events[0].starts_at == OPENED


def test_merge_moves_the_start_to_that_of_the_earlier_appeal() -> None:
    earlier, later, sla = appeal_of(), appeal_of(opened_at=OPENED + timedelta(hours=5)), context()
    for appeal in (earlier, later):
        clocks.start_first_response_clock(appeal, sla, "system")
    due = earlier.first_response_due_at
    clocks.keep_earlier_start(later, earlier, sla, "person")
    assert later.first_response_due_at == due == earlier.first_response_due_at
    row = last_of_kind(later, "first_response")
    assert row is not None
    assert row.events[-1].kind == "merged"


@pytest.mark.parametrize(("hours", "until"), [(None, None), (8, OPENED + timedelta(days=1, hours=1))])
def test_return_limit_counts_from_the_moment_the_organisation_got_the_appeal(
    hours: float | None, until: datetime | None, time_machine: Any
) -> None:
    limited = policy("С возвратом", 9, return_hours=hours, promise_hours=56, channel="vk")
    appeal, sla = appeal_of(network="vk"), context(limited)
    time_machine.move_to(OPENED + timedelta(hours=1), tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    assert return_until(appeal, sla) == until
    promise = latest_promise(appeal, sla, OPENED)
    assert promise is not None
    assert promise > OPENED + timedelta(days=7)


def _first_response_clock(appeal: Appeal) -> SlaClock:
    """Return the unfinished clock of the first response."""
    row = unfinished(appeal, "first_response")
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("step", "owned_from"), [("calendar", OPENED), ("restart", OPENED), ("transfer", OPENED + timedelta(days=7))]
)
def test_time_to_return_an_appeal_counts_from_when_the_organisation_got_it(
    step: str, owned_from: datetime, time_machine: Any
) -> None:
    limited = policy("С возвратом", 9, return_hours=1, return_unit="calendar", channel="vk")
    appeal, sla = appeal_of(network="vk"), context(limited)
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    time_machine.move_to(OPENED + timedelta(days=7), tick=False)
    if step == "calendar":
        chosen = {UUID(int=1): calendars()["duty"].id}
        sla = replace(sla, calendars=replace(sla.calendars, _chosen=chosen))
        clocks.follow_appeal(appeal, sla, "system")
    elif step == "restart":
        clocks.start_again(appeal, sla, "system")
    else:
        appeal.organisation_id = UUID(int=2)
        clocks.follow_appeal(appeal, sla, "person")
    kinds = [event.kind for event in all_events(_first_response_clock(appeal))]
    assert kinds == ["started", "restarted" if step == "restart" else "moved"]
    assert return_until(appeal, sla) == owned_from + timedelta(hours=1)


def test_events_of_two_machines_are_ordered_by_sequence_not_by_clock(time_machine: Any) -> None:
    appeal, sla = appeal_of(), context()
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    due = appeal.first_response_due_at
    time_machine.move_to(OPENED + timedelta(hours=1), tick=False)
    clocks.pause_clocks(appeal, sla, "person", "Ждём адрес")
    # The next machine's clock is five minutes slow.
    time_machine.move_to(OPENED + timedelta(minutes=55), tick=False)
    clocks.resume_clocks(appeal, sla, "person", None)
    row = last_of_kind(appeal, "first_response")
    assert row is not None
    assert read_clock(events_of(row, sla.calendars)).due_at == due


def test_withdrawn_answer_that_had_been_reopened_leaves_no_pause(time_machine: Any) -> None:
    appeal, sla = appeal_of(), context()
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    due, answered_at = appeal.resolution_due_at, OPENED + timedelta(hours=1)
    clocks.stop_clocks(appeal, answered_at, sla, "person", is_final=True)
    asked_at = OPENED + timedelta(days=1)
    clocks.await_reply(appeal, sla, message_id=None, written_at=asked_at, received_at=asked_at)
    clocks.start_next_response_clock(appeal, sla, "system", keeps_final_answer="Не решено")
    final = last_of_kind(appeal, "final_answer")
    assert final is not None
    assert appeal.resolution_due_at != due
    assert reopened_after(final) == answered_at
    assert withdraw(appeal, sla, answered_at)
    assert [event.kind for event in final.events] == ["stopped", "reopened", "answer_withdrawn"]
    assert (final.state, reopened_after(final), appeal.resolution_due_at) == ("running", None, due)


def ask_again(appeal: Appeal, sla: SlaContext, at: datetime) -> UUID:
    """Start the clocks of a further question by the citizen; return the id of its message."""
    message = uuid4()
    clocks.await_reply(appeal, sla, message_id=message, written_at=at, received_at=at)
    clocks.start_next_response_clock(appeal, sla, "system")
    return message


def test_final_answer_clock_restarted_by_a_question_can_be_late_again(time_machine: Any) -> None:
    appeal, sla = appeal_of(), context()
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    clocks.stop_clocks(appeal, OPENED + timedelta(hours=1), sla, "person", is_final=False)
    final, due_at = unfinished(appeal, "final_answer"), appeal.resolution_due_at
    assert final is not None
    assert due_at is not None
    assert late_clocks(appeal, due_at) == {}
    assert late_clocks(appeal, due_at + timedelta(seconds=1)) == {"final_answer": due_at}
    final.overdue_recorded_at = due_at
    ask_again(appeal, sla, due_at + timedelta(days=1))
    assert unfinished(appeal, "final_answer") is final
    assert final.overdue_recorded_at is None
    assert late_clocks(appeal, due_at + timedelta(days=1)) == {}
    # The final answer stops its clock, so no clock becomes late later.
    clocks.stop_clocks(appeal, due_at + timedelta(days=1, hours=1), sla, "person", is_final=True)
    assert late_clocks(appeal, due_at + timedelta(days=90)) == {}


def withdraw(appeal: Appeal, sla: SlaContext, answered_at: datetime) -> bool:
    clocks.cancel_later_clocks(appeal, answered_at, sla, "person")
    return clocks.continue_clocks(appeal, answered_at, sla, "person", "Не тот адрес")


def test_withdrawn_final_answer_keeps_the_extension_while_a_later_question_waits(time_machine: Any) -> None:
    appeal, sla, answered_at = appeal_of(), context(), OPENED + timedelta(hours=1)
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    final = last_of_kind(appeal, "final_answer")
    assert final is not None
    extend_clock(appeal, final, 40 * 3_600, sla, "person")
    due = appeal.resolution_due_at
    clocks.stop_clocks(appeal, answered_at, sla, "person", is_final=True)
    ask_again(appeal, sla, OPENED + timedelta(days=1))
    later = unfinished(appeal, "final_answer")
    assert later not in {None, final}
    withdraw(appeal, sla, answered_at)
    assert later is not None
    assert (final.state, later.state, appeal.resolution_due_at) == ("running", "cancelled", due)
    # The citizen is dissatisfied with the next answer too: the same clock continues.
    clocks.stop_clocks(appeal, OPENED + timedelta(days=2), sla, "person", is_final=True)
    asked_at = OPENED + timedelta(days=3)
    clocks.await_reply(appeal, sla, message_id=None, written_at=asked_at, received_at=asked_at)
    clocks.start_next_response_clock(appeal, sla, "system", keeps_final_answer="Не решено")
    assert (unfinished(appeal, "final_answer"), final.events[-1].kind) == (final, "reopened")


def test_reopened_clock_refers_to_the_earlier_unanswered_question(time_machine: Any) -> None:
    appeal, sla, answered_at = appeal_of(), context(), OPENED + timedelta(days=1, hours=1)
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    clocks.stop_clocks(appeal, OPENED + timedelta(hours=1), sla, "person", is_final=True)
    earlier = ask_again(appeal, sla, OPENED + timedelta(days=1))
    clocks.stop_clocks(appeal, answered_at, sla, "person", is_final=True)
    ask_again(appeal, sla, OPENED + timedelta(days=2))
    assert withdraw(appeal, sla, answered_at)
    row = unfinished(appeal, "next_response")
    assert row is not None
    asked_at = OPENED + timedelta(days=1)
    assert (row.message_id, row.written_at, row.received_at) == (earlier, asked_at, asked_at)
    assert row.started_at == asked_at


def test_final_answer_is_still_due_after_a_withdrawn_answer_and_misread_feedback(
    time_machine: Any,
) -> None:
    appeal, sla, answered_at = appeal_of(), context(), OPENED + timedelta(hours=2)
    time_machine.move_to(OPENED, tick=False)
    clocks.start_first_response_clock(appeal, sla, "system")
    due = appeal.resolution_due_at
    clocks.stop_clocks(appeal, OPENED + timedelta(hours=1), sla, "person", is_final=False)
    clocks.stop_clocks(appeal, answered_at, sla, "person", is_final=True)
    asked_at = OPENED + timedelta(days=1)
    clocks.await_reply(appeal, sla, message_id=uuid4(), written_at=asked_at, received_at=asked_at)
    clocks.start_next_response_clock(appeal, sla, "system", keeps_final_answer="Не решено")
    withdraw(appeal, sla, answered_at)
    clocks.withdraw_awaited_reply(appeal, sla, "person")
    final = unfinished(appeal, "final_answer")
    assert final is not None
    assert (final.state, appeal.resolution_due_at) == ("running", due)
    assert unfinished(appeal, "next_response") is None
