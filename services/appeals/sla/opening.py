"""The clocks with which an appeal opens, computed once for appeals with the same policy, calendar and start."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.appeals.sla.clock_rows import ClockKind, shares_to_warn_of, target_columns
from services.appeals.sla.deadlines import ClockEvent, Target, compute_deadline, read_clock
from services.appeals.sla.escalation_steps import AwaitedDeadline, first_moment, near_moment
from services.appeals.sla.explanation import explain_deadline
from services.appeals.sla.named_calendar import NamedCalendar
from services.appeals.sla.opened_clocks import OpenedClocks
from services.appeals.sla.policy_selection import final_answer_target, first_response_target
from services.appeals.sla.sla_context import SlaContext
from shared import clock as time_source
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_sla import SlaPolicy

_KINDS: tuple[ClockKind, ...] = ("first_response", "final_answer")


def open_clocks(appeal: Appeal, sla: SlaContext, actor: str) -> OpenedClocks:
    """Return the rows of the clocks of the first response and the final answer, and store their deadlines in the
    assigned appeal. All rows have the same columns.
    """
    policy = sla.policy_of(appeal, appeal.opened_at)
    calendar = sla.calendars.for_organisation(appeal.organisation_id)
    starts_at = start_moment(appeal, policy, written_at=appeal.written_at, received_at=appeal.opened_at)
    key = (policy.id, calendar.id, starts_at)
    common = sla.opened.get(key)
    if common is None:
        common = sla.opened[key] = _opened(policy, calendar, starts_at)
    now = time_source.now()
    own = {
        "appeal_id": appeal.id, "written_at": appeal.written_at, "received_at": appeal.opened_at,
        "organisation_id": appeal.organisation_id, "started_by": actor, "start_recorded_at": now,
        "created_at": now, "updated_at": now,
    }  # fmt: skip
    first, final = common.rows
    appeal.first_response_due_at, appeal.resolution_due_at = first["due_at"], final["due_at"]
    appeal.final_answer_due_at = final["due_at"]
    appeal.sla_policy_id, appeal.next_escalation_at = policy.id, common.next_escalation_at
    return replace(common, rows=[row | own | {"id": new_id()} for row in common.rows])


def start_moment(appeal: Appeal, policy: SlaPolicy, *, written_at: datetime, received_at: datetime) -> datetime:
    """Return the moment from which the clocks count according to the policy. If that is the assignment, the clocks
    of a later message count from its receipt, because the appeal is already assigned.
    """
    if policy.starts_from == "written":
        return written_at
    if policy.starts_from == "assigned" and received_at == appeal.opened_at:
        return appeal.assigned_at or received_at
    return received_at


def target_of(kind: str, policy: SlaPolicy) -> Target:
    """Return the time that the policy allows for the answer awaited by a clock of this kind."""
    return final_answer_target(policy) if kind == "final_answer" else first_response_target(policy)


def _opened(policy: SlaPolicy, calendar: NamedCalendar, starts_at: datetime) -> OpenedClocks:
    started = {
        kind: [ClockEvent(1, "started", starts_at, starts_at, calendar, target_of(kind, policy))]
        for kind in _KINDS
    }
    rows = [_row(kind, policy, calendar.id, events) for kind, events in started.items()]
    awaited = [
        AwaitedDeadline(row["kind"], row["due_at"], near_moment(started[row["kind"]], policy), calendar, policy)
        for row in rows
    ]
    return OpenedClocks(rows, explain_deadline(read_clock(started["first_response"])), first_moment(awaited))


def _row(kind: ClockKind, policy: SlaPolicy, calendar_id: UUID | None, events: list[ClockEvent]) -> dict[str, Any]:
    found, target = compute_deadline(events, shares_to_warn_of(policy)), target_of(kind, policy)
    return {
        "kind": kind,
        "state": found.state,
        "policy_id": policy.id,
        **target_columns(target),
        "calendar_id": calendar_id,
        "started_at": found.started_at,
        "due_at": found.due_at,
        "next_warning_at": found.next_warning_at,
    }
