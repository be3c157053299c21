"""The response clocks of an appeal: starting, recomputing, stopping and measuring them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.appeals.sla.deadline_snapshot import Clock, DeadlineSnapshot, NextClock, StoppedClock
from services.appeals.sla.deadlines import NamedCalendar, clock_start, compute_deadline
from services.appeals.sla.policies import policy_in_effect
from shared.tables.appeals import Appeal, SlaPolicy
from shared.working_time import working_time_between


def start_first_response_clock(appeal: Appeal, policies: Sequence[SlaPolicy], calendar: NamedCalendar) -> None:
    """Set the deadlines of the first reply by the policy in effect when the appeal was opened; it must be
    assigned.

    The start does not move when the organisation or the urgency changes; the calendar and the hours do.
    """
    policy = policy_in_effect(policies, appeal.urgency, appeal.opened_at)
    assigned = appeal.assigned_at or appeal.opened_at
    start = clock_start(policy, received=appeal.opened_at, written=appeal.written_at, assigned=assigned)
    deadline = compute_deadline(policy, calendar, start)
    appeal.sla_policy_id = deadline.policy_id
    appeal.first_response_due_at = deadline.first_response_due_at
    appeal.resolution_due_at = deadline.resolution_due_at
    appeal.deadline = replace(DeadlineSnapshot.parse(appeal.deadline), first=deadline.clock).dump()


def set_next_response_deadline(
    appeal: Appeal,
    policies: Sequence[SlaPolicy],
    calendar: NamedCalendar,
    *,
    message_id: UUID | None,
    received: datetime,
    written: datetime,
) -> None:
    """Start the clock of the reply to a message that reopened the appeal; the first reply's clock is kept."""
    policy = policy_in_effect(policies, appeal.urgency, received)
    start = clock_start(policy, received=received, written=written, assigned=received)
    deadline = compute_deadline(policy, calendar, start)
    appeal.next_response_due_at = deadline.first_response_due_at
    appeal.resolution_due_at = deadline.resolution_due_at
    following = NextClock(**dict(deadline.clock), message_id=message_id, written_at=written, received_at=received)
    appeal.deadline = replace(DeadlineSnapshot.parse(appeal.deadline), next_response=following).dump()


def recompute_clock(appeal: Appeal, policies: Sequence[SlaPolicy], calendar: NamedCalendar) -> None:
    """Recompute the running clock for another calendar or urgency; stopped clocks are kept."""
    if appeal.first_response_at is None:
        start_first_response_clock(appeal, policies, calendar)
    elif appeal.next_response_due_at is not None:
        start_next_response_clock(appeal, policies, calendar)


def start_next_response_clock(appeal: Appeal, policies: Sequence[SlaPolicy], calendar: NamedCalendar) -> None:
    """Start or restart the clock of the message that awaits a reply after the first one."""
    following = DeadlineSnapshot.parse(appeal.deadline).next_response
    if following is None:
        raise ValueError(f"No message of appeal {appeal.id} awaits a further reply")
    set_next_response_deadline(
        appeal,
        policies,
        calendar,
        message_id=following.message_id,
        received=following.received_at,
        written=following.written_at,
    )


def stop_clock(appeal: Appeal, published_at: datetime, calendar: NamedCalendar) -> bool | None:
    """Stop the running clock at the publication of a reply; return whether it was on time, None if none ran."""
    deadline = DeadlineSnapshot.parse(appeal.deadline)
    if appeal.first_response_at is None:
        appeal.first_response_at = published_at
        if deadline.first is not None and appeal.first_response_due_at is not None:
            appeal.first_response_working_seconds = working_seconds(deadline.first, calendar, published_at)
            return published_at <= appeal.first_response_due_at
        return None
    running = deadline.next_response
    if not isinstance(running, NextClock) or appeal.next_response_due_at is None:
        return None
    on_time = published_at <= appeal.next_response_due_at
    stopped = StoppedClock(
        **dict(running),
        answered_at=published_at,
        on_time=on_time,
        working_seconds=working_seconds(running, calendar, published_at),
    )
    appeal.deadline = replace(
        deadline, next_response=None, previous_responses=(*deadline.previous_responses, stopped)
    ).dump()
    appeal.next_response_due_at = None
    return on_time


def working_seconds(clock: Clock, calendar: NamedCalendar, end: datetime) -> int:
    """Return the working seconds from the start of the clock to `end`; 0 when `end` is before the start."""
    return int(working_time_between(calendar.working, clock.starts_at, end).total_seconds())


def awaits_reply(appeal: Appeal) -> bool:
    """Return whether the citizen awaits a reply."""
    return (
        appeal.first_response_at is None or appeal.next_response_due_at is not None or appeal.status == "interim"
    )


def awaiting_since(appeal: Appeal) -> datetime:
    """Return when the message that awaits a reply was written.

    A reply written earlier cannot answer it.
    """
    following = DeadlineSnapshot.parse(appeal.deadline).next_response
    if following is not None and appeal.first_response_at is not None:
        return following.written_at
    return appeal.written_at
