"""The reply that an appeal awaits, and the columns by which lists, metrics and jobs select appeals."""

from typing import cast

from services.appeals.sla.clock_rows import events_of, last_of_kind, unfinished
from services.appeals.sla.escalation_steps import AwaitedClock, AwaitedDeadline, near_moment
from services.appeals.sla.sla_context import SlaContext
from shared.tables.appeals import Appeal


def store_due_dates(appeal: Appeal, sla: SlaContext) -> None:
    """Copy the deadlines of the clocks to the columns of the appeal, and restart its escalation."""
    first, final = last_of_kind(appeal, "first_response"), last_of_kind(appeal, "final_answer")
    following = unfinished(appeal, "next_response")
    if first is not None:
        appeal.first_response_due_at, appeal.sla_policy_id = first.due_at, first.policy_id
    if final is not None:
        appeal.resolution_due_at = final.due_at
    appeal.next_response_due_at = following.due_at if following is not None else None
    awaited = awaited_deadline(appeal, sla)
    appeal.next_escalation_at = awaited.first_moment() if awaited is not None else None


def awaited_deadline(appeal: Appeal, sla: SlaContext) -> AwaitedDeadline | None:
    """Return the deadline of the reply that the appeal awaits; None: it awaits none, or its clock is paused."""
    row = unfinished(appeal, "first_response" if appeal.first_response_at is None else "next_response")
    policy = sla.policy(row.policy_id if row is not None else appeal.sla_policy_id)
    if policy is None:
        return None
    calendar = sla.calendars.for_organisation(appeal.organisation_id)
    if row is not None and row.state == "running" and row.due_at is not None:
        near_at = near_moment(events_of(row, sla.calendars), policy)
        return AwaitedDeadline(cast("AwaitedClock", row.kind), row.due_at, near_at, calendar, policy)
    if appeal.promised_at is not None:
        # Its executor is reminded of the promise instead.
        return AwaitedDeadline("promise", appeal.promised_at, None, calendar, policy)
    return None
