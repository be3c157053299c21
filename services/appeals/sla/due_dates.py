"""The awaited deadlines of an appeal, and the columns by which lists, metrics and jobs select appeals."""

from collections.abc import Sequence
from typing import cast

from services.appeals.sla.clock_rows import continued_at, events_of, last_of_kind, unfinished
from services.appeals.sla.escalation_steps import AwaitedDeadline, first_moment, near_moment
from services.appeals.sla.sla_context import SlaContext
from shared.contracts.values import AwaitedClock
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaClock


def store_due_dates(appeal: Appeal, sla: SlaContext) -> None:
    """Copy the deadlines of the clocks to the columns of the appeal, and restart its escalation."""
    first, final = last_of_kind(appeal, "first_response"), last_of_kind(appeal, "final_answer")
    following, owed = unfinished(appeal, "next_response"), unfinished(appeal, "final_answer")
    if first is not None:
        appeal.first_response_due_at, appeal.sla_policy_id = first.due_at, first.policy_id
    if final is not None:
        appeal.resolution_due_at = final.due_at
    appeal.next_response_due_at = following.due_at if following is not None else None
    appeal.final_answer_due_at = owed.due_at if owed is not None else None
    appeal.next_escalation_at = first_moment(awaited_deadlines(appeal, sla))


def awaited_deadlines(appeal: Appeal, sla: SlaContext) -> Sequence[AwaitedDeadline]:
    """Return the awaited deadlines of the appeal: of the first or next response, else of the promised answer, and
    of the final answer. Paused clocks are left out.
    """
    row = unfinished(appeal, "first_response" if appeal.first_response_at is None else "next_response")
    response = _deadline(row, appeal, sla)
    if response is None:
        response = _promise(row, appeal, sla)
    final = _deadline(unfinished(appeal, "final_answer"), appeal, sla)
    return [found for found in (response, final) if found is not None]


def _deadline(row: SlaClock | None, appeal: Appeal, sla: SlaContext) -> AwaitedDeadline | None:
    policy = sla.policy(row.policy_id) if row is not None else None
    if row is None or policy is None or row.state != "running" or row.due_at is None:
        return None
    near_at = near_moment(events_of(row, sla.calendars), policy)
    calendar = sla.calendars.for_organisation(appeal.organisation_id)
    return AwaitedDeadline(
        cast("AwaitedClock", row.kind), row.due_at, near_at, calendar, policy, continued_at=continued_at(row)
    )


def _promise(row: SlaClock | None, appeal: Appeal, sla: SlaContext) -> AwaitedDeadline | None:
    policy = sla.policy(row.policy_id if row is not None else appeal.sla_policy_id)
    if policy is None or appeal.promised_at is None:
        return None
    # No `near_at`: before the deadline the executor gets the reminder of the promise instead.
    calendar = sla.calendars.for_organisation(appeal.organisation_id)
    return AwaitedDeadline("promise", appeal.promised_at, None, calendar, policy)
