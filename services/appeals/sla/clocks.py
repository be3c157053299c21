"""The clocks of an appeal: started, moved, paused and stopped as events, from which deadlines are computed.

All functions require that the appeal is locked, and a context with the calendars of its organisation and its
clocks.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, exists

from services.appeals.sla.clock_rows import (
    STARTED_STATES,
    ClockKind,
    add_event,
    clock_of_message,
    deadline_text,
    last_of_kind,
    owner_event,
    reopened_after,
    start,
    store_results,
    unfinished,
    working_seconds_used,
)
from services.appeals.sla.deadlines import ClockEventKind
from services.appeals.sla.due_dates import store_due_dates
from services.appeals.sla.opened_clocks import clocks_of, opened_clocks
from services.appeals.sla.opening import open_clocks, start_moment, target_of
from services.appeals.sla.sla_context import SlaContext
from shared import clock as time_source
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock


def start_first_response_clock(appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Start the clocks of the first response and the final answer of an appeal that was assigned.

    The clocks count from the moment given by the policy that was in effect when the appeal was opened. Clocks that
    have already started follow the appeal to its organisation.
    """
    if last_of_kind(appeal, "first_response") is not None:
        follow_appeal(appeal, sla, actor)
        return
    opened = open_clocks(appeal, sla, actor)
    clocks_of(appeal).extend(SlaClock(**row, events=[]) for row in opened.rows)


def start_again(appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Restart the running and paused clocks from the message with which the appeal now begins."""
    for row in _started(appeal):
        row.written_at, row.received_at = appeal.written_at, appeal.opened_at
        _start(row, appeal, sla, actor)
    store_due_dates(appeal, sla)


def await_reply(
    appeal: Appeal, sla: SlaContext, *, message_id: UUID | None, written_at: datetime, received_at: datetime
) -> None:
    """Add the clock of the reply to a message that reopened the appeal, in the state `waiting` until it is decided
    that the message needs an answer. An appeal that was never answered keeps the clock of its first response. A
    promise no longer postpones the answer, because the citizen wrote again.
    """
    appeal.promised_at = None
    if appeal.first_response_at is not None:
        row = clock_of_message(
            appeal, "next_response", message_id=message_id, written_at=written_at, received_at=received_at
        )
        row.state, row.due_at, row.next_warning_at = "waiting", None, None
    store_due_dates(appeal, sla)


def withdraw_awaited_reply(appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """End the clocks of a message that needs no answer after all, or does not belong to the answered appeal. The
    clock of a final answer to an earlier question, whose answer was withdrawn, continues.
    """
    kinds: tuple[ClockKind, ...] = ("next_response", "final_answer")
    awaited = unfinished(appeal, "next_response")
    for kind in kinds:
        row = unfinished(appeal, kind)
        if row is not None and row.state == "waiting":
            row.state = "cancelled"
        elif row is not None and (answered_at := reopened_after(row)) is not None:
            _stop(row, answered_at, sla, actor)
        elif row is not None and (awaited is None or _is_of_same_question(row, awaited)):
            _cancel(row, sla, actor)
    store_due_dates(appeal, sla)


def await_reply_to_other(
    appeal: Appeal,
    sla: SlaContext,
    actor: str,
    *,
    message_id: UUID | None,
    written_at: datetime,
    received_at: datetime,
    reason: str,
) -> bool:
    """Let the clocks of the awaited further reply count from this message, because the one that they count from
    needs no answer or does not belong to the appeal; a clock that has started is restarted. The clock of a final
    answer to an earlier question, whose answer was withdrawn, does not change. One that continued because of the
    former message ends with the answer that had stopped it. A pause ends with this `reason`, because it concerned
    the former message; return whether one ended.
    """
    waiting, final = unfinished(appeal, "next_response"), unfinished(appeal, "final_answer")
    if waiting is None:
        raise ValueError(f"No message of appeal {appeal.id} awaits a further reply")
    is_same, is_started = waiting.message_id == message_id, waiting.state in STARTED_STATES
    of_question = final is None or _is_of_same_question(final, waiting)
    answered_at = reopened_after(final) if final is not None else None
    was_paused = any(row.state == "paused" for row in _started(appeal))
    if final is not None and answered_at is not None:
        _stop(final, answered_at, sla, actor)
    if not is_same:
        await_reply(appeal, sla, message_id=message_id, written_at=written_at, received_at=received_at)
    if is_started and not is_same:
        appeal.overdue_recorded_at = None
        _start(waiting, appeal, sla, actor)
    if is_started and (answered_at is not None or (of_question and not is_same)):
        _start_final_answer(appeal, waiting, sla, actor)
    ends_pause = was_paused and is_started and (answered_at is not None or not is_same)
    if ends_pause:
        resume_clocks(appeal, sla, actor, reason)
    store_due_dates(appeal, sla)
    return ends_pause


def start_next_response_clock(
    appeal: Appeal, sla: SlaContext, actor: str, *, keeps_final_answer: str | None = None
) -> None:
    """Start the clocks of a message that awaits a further reply; clocks that it has already started are kept. A
    clock of an earlier question is restarted by the new question. With `keeps_final_answer`, a reason, the clock
    of the final answer is not restarted: the answer did not solve the matter, so the old start and the used time
    stay.
    """
    waiting = unfinished(appeal, "next_response")
    if waiting is None:
        raise ValueError(f"No message of appeal {appeal.id} awaits a further reply")
    if waiting.state == "waiting":
        _start(waiting, appeal, sla, actor)
        if keeps_final_answer is None or not _reopen(appeal, sla, actor, waiting.received_at, keeps_final_answer):
            _start_final_answer(appeal, waiting, sla, actor)
        store_due_dates(appeal, sla)
    follow_appeal(appeal, sla, actor)


def _start_final_answer(appeal: Appeal, waiting: SlaClock, sla: SlaContext, actor: str) -> None:
    final = clock_of_message(
        appeal,
        "final_answer",
        message_id=waiting.message_id,
        written_at=waiting.written_at,
        received_at=waiting.received_at,
    )
    _start(final, appeal, sla, actor)


def _reopen(appeal: Appeal, sla: SlaContext, actor: str, at: datetime, reason: str) -> bool:
    """Reopen the last clock of the final answer at this moment; return whether there is such a clock."""
    row = last_of_kind(appeal, "final_answer")
    if row is None or row.state not in {*STARTED_STATES, "stopped"}:
        return False
    if row.state == "stopped":
        add_event(row, "reopened", actor, at, reason=reason)
        row.stopped_at, row.used_seconds, row.on_time = None, None, None
        store_results(row, sla)
    return True


def follow_appeal(appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Move the running and paused clocks to the appeal's organisation, and to the policy for its urgency, topic
    and organisation.

    Time until now stays counted in the earlier calendar, the rest counts in the new calendar. A new policy applies
    from the start of the clock. Without an organisation the clocks count in the default calendar and keep their
    policy.
    """
    calendar = sla.calendars.for_organisation(appeal.organisation_id)
    for row in _started(appeal):
        owner = owner_event(row)
        if (owner.organisation_id, owner.calendar_id) != (appeal.organisation_id, calendar.id):
            add_event(
                row,
                "moved",
                actor,
                time_source.now(),
                organisation_id=appeal.organisation_id,
                calendar_id=calendar.id,
            )
        if appeal.organisation_id is not None:
            _follow_policy(row, appeal, sla, actor)
        store_results(row, sla)
    store_due_dates(appeal, sla)


def stop_clocks(
    appeal: Appeal, published_at: datetime, sla: SlaContext, actor: str, *, is_final: bool
) -> bool | None:
    """Stop the clocks that a published reply answers; return whether the reply was on time, or None if no clock
    of a response had started. Any reply stops the clock of the first or next response; a final reply also stops
    the clock of the final answer.
    """
    is_first = appeal.first_response_at is None
    answered = unfinished(appeal, "first_response" if is_first else "next_response")
    on_time = None
    if is_first:
        appeal.first_response_at = published_at
    if answered is not None and answered.state == "waiting":
        answered.state = "cancelled"
    elif answered is not None:
        _stop(answered, published_at, sla, actor)
        on_time = answered.on_time
        if is_first:
            appeal.first_response_working_seconds = working_seconds_used(answered, sla)
    final = unfinished(appeal, "final_answer")
    if is_final and final is not None:
        _stop(final, published_at, sla, actor)
    store_due_dates(appeal, sla)
    return on_time


def cancel_later_clocks(appeal: Appeal, answered_at: datetime, sla: SlaContext, actor: str) -> None:
    """Cancel clocks of later questions before the answer given at this moment is withdrawn. They are covered by
    the clocks that will continue: a first response answers later questions too, and the older final-answer clock
    keeps its extensions.

    The session must be flushed before `continue_clocks`: the database allows one unfinished clock of each kind.
    """
    for row in _stopped_at(appeal, answered_at):
        if row.kind != "next_response":
            later = unfinished(appeal, "next_response" if row.kind == "first_response" else "final_answer")
            if later is not None:
                row.overdue_recorded_at = row.overdue_recorded_at or later.overdue_recorded_at
                _cancel(later, sla, actor)


def continue_clocks(appeal: Appeal, answered_at: datetime, sla: SlaContext, actor: str, reason: str) -> bool:
    """Continue the clocks that were stopped by the withdrawn answer published at this moment, as if it had not
    been given. Return whether the citizen awaits the first or the next response again. Call `cancel_later_clocks`
    before. A late response that is awaited again is not recorded as overdue a second time. If a next response to a
    later question is already awaited, its clock counts from the earlier start, for the earlier question.
    """
    for row in _started(appeal):
        if reopened_after(row) == answered_at:
            _withdraw_answer(row, sla, actor, reason)
    stopped = _stopped_at(appeal, answered_at)
    if any(row.kind == "first_response" for row in stopped):
        appeal.first_response_at = appeal.first_response_working_seconds = None
    for row in stopped:
        running = unfinished(appeal, cast("ClockKind", row.kind))
        if row.kind != "final_answer" and row.on_time is False:
            appeal.overdue_recorded_at = time_source.now()
        elif row.kind != "final_answer" and running is None:
            appeal.overdue_recorded_at = None
        if running is None:
            _withdraw_answer(row, sla, actor, reason)
        elif running.state == "waiting":
            _take_over_question(running, row)
        elif row.started_at is not None and running.started_at is not None and row.started_at < running.started_at:
            _take_over_question(running, row)
            add_event(running, "merged", actor, time_source.now(), starts_at=row.started_at)
            store_results(running, sla)
    follow_appeal(appeal, sla, actor)
    return any(row.kind != "final_answer" for row in stopped)


def set_promise(appeal: Appeal, promised_at: datetime | None, sla: SlaContext) -> None:
    """Set the promised date of the final reply after an interim reply; None removes it."""
    appeal.promised_at = promised_at
    store_due_dates(appeal, sla)


def pause_clocks(appeal: Appeal, sla: SlaContext, actor: str, reason: str) -> list[SlaClock]:
    """Pause the running clocks and return them. A promised date is not moved by a pause."""
    return _change_state(appeal, sla, actor, before="running", kind="paused", reason=reason)


def resume_clocks(appeal: Appeal, sla: SlaContext, actor: str, reason: str | None) -> list[SlaClock]:
    """Resume the paused clocks and return them."""
    return _change_state(appeal, sla, actor, before="paused", kind="resumed", reason=reason)


def recompute_clocks(appeal: Appeal, sla: SlaContext) -> None:
    """Recompute the deadlines of the running and paused clocks after a calendar changed."""
    started = list(_started(appeal))
    before = [row.due_at for row in started]
    for row in started:
        store_results(row, sla)
    # If no deadline changes, the appeal must keep its version.
    if [row.due_at for row in started] != before:
        store_due_dates(appeal, sla)


def keep_earlier_start(appeal: Appeal, merged: Appeal, sla: SlaContext, actor: str) -> None:
    """Move the start of running and paused clocks to the earlier start of the clocks of an appeal that is merged
    into this one.
    """
    for row in _started(appeal):
        other = next((found for found in _started(merged) if found.kind == row.kind), None)
        if other is not None and other.started_at and row.started_at and other.started_at < row.started_at:
            add_event(row, "merged", actor, time_source.now(), starts_at=other.started_at)
            store_results(row, sla)
    store_due_dates(appeal, sla)


def end_pause_by_question(
    appeal: Appeal, merged: Appeal, sla: SlaContext, actor: str, *, message_id: UUID | None, reason: str
) -> bool:
    """End the pause of clocks of an appeal into which another appeal with running clocks is merged, because the
    question of the merged appeal (a message) must not be paused. Return whether there was a pause. A clock paused
    before its deadline is restarted by the question; a deadline that had passed before the pause stays.
    """
    running = {row.kind: row for row in _started(merged) if row.state == "running"}
    paused = [row for row in _started(appeal) if row.state == "paused" and row.kind in running]
    for row in paused:
        if row.due_at is None:
            _take_over_question(row, running[row.kind])
            row.message_id = message_id
            _start(row, appeal, sla, actor, reason=reason)
        else:
            add_event(row, "resumed", actor, time_source.now(), reason=reason)
            store_results(row, sla)
    store_due_dates(appeal, sla)
    return bool(paused)


def awaits_reply(appeal: Appeal) -> bool:
    """Return whether the citizen awaits a reply."""
    if appeal.first_response_at is None or appeal.status == "interim":
        return True
    # The final answer of an appeal that is not closed is awaited also while no next response is.
    return any(row.kind == "next_response" or appeal.closed_at is None for row in _started(appeal))


def has_started_clocks(appeal: Appeal) -> bool:
    """Return whether a clock of the appeal runs or is paused."""
    return any(_started(appeal))


def has_message_to_answer(appeal: Appeal) -> bool:
    """Return whether a message after the first response awaits a reply; its clock may still be in the state
    `waiting`.
    """
    return unfinished(appeal, "next_response") is not None


def runs_next_response_clock() -> ColumnElement[bool]:
    """Return the SQL condition that the clock of a next response runs or is paused."""
    return exists().where(
        SlaClock.appeal_id == Appeal.id, SlaClock.kind == "next_response", SlaClock.state.in_(STARTED_STATES)
    )


def awaits_reply_to(appeal: Appeal, message_id: UUID | None) -> bool:
    """Return whether the clock of the next response counts from this message; None: from a person's decision."""
    following = unfinished(appeal, "next_response") if appeal.first_response_at is not None else None
    return following is not None and following.message_id == message_id


def awaiting_since(appeal: Appeal) -> datetime:
    """Return when the message that awaits a reply was written. A reply written before it cannot answer it."""
    following = unfinished(appeal, "next_response") if appeal.first_response_at is not None else None
    return following.written_at if following is not None else appeal.written_at


def first_response_text(appeal: Appeal, sla: SlaContext) -> str | None:
    """Return the deadline of the first response in Russian words."""
    opened = opened_clocks(appeal)
    if opened is not None:
        return opened.first_response_text
    return deadline_text(last_of_kind(appeal, "first_response"), sla)


def next_response_text(appeal: Appeal, sla: SlaContext) -> str | None:
    """Return the deadline of the next response in Russian words; None unless its clock is running or paused."""
    following = unfinished(appeal, "next_response")
    return deadline_text(following, sla) if following is not None and following.state != "waiting" else None


def awaited_response_text(appeal: Appeal, sla: SlaContext) -> str | None:
    """Return the deadline of the awaited response in Russian words; None if no response is awaited."""
    return deadline_text(unfinished(appeal, "first_response"), sla) or next_response_text(appeal, sla)


def _started(appeal: Appeal) -> Iterator[SlaClock]:
    return (row for row in clocks_of(appeal) if row.state in STARTED_STATES)


def _start(row: SlaClock, appeal: Appeal, sla: SlaContext, actor: str, *, reason: str | None = None) -> None:
    policy = sla.policy_of(appeal, row.received_at)
    start(
        row,
        actor,
        policy=policy,
        target=target_of(row.kind, policy),
        starts_at=start_moment(appeal, policy, written_at=row.written_at, received_at=row.received_at),
        organisation_id=appeal.organisation_id,
        calendar_id=sla.calendars.for_organisation(appeal.organisation_id).id,
        reason=reason,
    )
    store_results(row, sla)


def _follow_policy(row: SlaClock, appeal: Appeal, sla: SlaContext, actor: str) -> None:
    policy = sla.policy_of(appeal, row.received_at)
    if policy.id == row.policy_id:
        return
    add_event(
        row,
        "policy_changed",
        actor,
        time_source.now(),
        policy=policy,
        target=target_of(row.kind, policy),
        starts_at=start_moment(appeal, policy, written_at=row.written_at, received_at=row.received_at),
    )


def _stop(row: SlaClock, published_at: datetime, sla: SlaContext, actor: str) -> None:
    add_event(row, "stopped", actor, published_at)
    store_results(row, sla)


def _stopped_at(appeal: Appeal, answered_at: datetime) -> list[SlaClock]:
    return [row for row in clocks_of(appeal) if row.state == "stopped" and row.stopped_at == answered_at]


def _is_of_same_question(row: SlaClock, other: SlaClock) -> bool:
    return (row.message_id, row.written_at) == (other.message_id, other.written_at)


def _take_over_question(row: SlaClock, earlier: SlaClock) -> None:
    row.message_id, row.written_at, row.received_at = earlier.message_id, earlier.written_at, earlier.received_at


def _withdraw_answer(row: SlaClock, sla: SlaContext, actor: str, reason: str) -> None:
    add_event(row, "answer_withdrawn", actor, time_source.now(), reason=reason)
    row.stopped_at = row.used_seconds = row.on_time = None
    store_results(row, sla)


def _cancel(row: SlaClock, sla: SlaContext, actor: str) -> None:
    if row.state == "waiting":
        row.state = "cancelled"
        return
    add_event(row, "cancelled", actor, time_source.now())
    store_results(row, sla)


def _change_state(
    appeal: Appeal, sla: SlaContext, actor: str, *, before: str, kind: ClockEventKind, reason: str | None
) -> list[SlaClock]:
    changed = [row for row in _started(appeal) if row.state == before]
    for row in changed:
        add_event(row, kind, actor, time_source.now(), reason=reason)
        store_results(row, sla)
    store_due_dates(appeal, sla)
    return changed
