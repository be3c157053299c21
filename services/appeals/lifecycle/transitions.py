"""Transitions of appeals, applied to the organisation, the clocks and the timeline.

workflow.py defines the allowed transitions, moves.py applies transitions that people request.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from typing_extensions import TypeAliasType

from services.appeals.actors import NETWORK_ACTOR, SYSTEM_ACTOR
from services.appeals.lifecycle.route_snapshot import (
    RouteSnapshot,
    route_of,
)
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.sla import clocks
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.contracts.appeal_events import (
    AppealAssigned,
    AppealMoved,
    AppealReopened,
)
from shared.russian import plural
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message

AssignmentKind = TypeAliasType(
    "AssignmentKind", Literal["routed", "assigned", "returned", "transferred", "rerouted"]
)

# Number of transfers from which moderators are alerted, because the organisations cannot agree who answers.
_REPEATED_TRANSFERS_FROM = 3
_TIMES = ("раз", "раза", "раз")


def record_assigned(recorder: AppealRecorder, appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Record that the appeal was assigned, with a timeline entry and an event."""
    recorder.add_timeline_entry(
        appeal,
        "assigned",
        actor,
        organisation_id=str(appeal.organisation_id),
        reason=route_of(appeal).reason,
        deadline=clocks.first_response_text(appeal, sla),
    )
    recorder.add_event(AppealAssigned(**event_snapshot(appeal)), actor)


def record_first_assignment(
    recorder: AppealRecorder,
    appeal: Appeal,
    sla: SlaContext,
    actor: str,
    *,
    assignment_kind: AssignmentKind = "routed",
) -> None:
    """Record the first assignment of an appeal that was opened with an organisation."""
    route = route_of(appeal)
    recorder.add_assignment(
        appeal,
        assignment_kind,
        actor,
        from_organisation_id=None,
        to_organisation_id=appeal.organisation_id,
        rule_id=route.rule_id,
        reason=route.reason,
    )
    record_assigned(recorder, appeal, sla, actor)
    recorder.queue_assignee_choice(appeal)


def assign(
    appeal: Appeal,
    organisation_id: UUID,
    sla: SlaContext,
    recorder: AppealRecorder,
    actor: str,
    *,
    route: RouteSnapshot,
    urgency: str | None = None,
    assignment_kind: AssignmentKind | None = None,
) -> None:
    """Assign the appeal to an organisation, because an answer is due.

    The clock starts at the moment given by the policy. Unless that is the assignment, it includes the time that
    the centre took to decide. `assignment_kind` defaults to `routed` for the system and to `assigned` for a
    person.
    """
    previous_organisation_id, status_before = appeal.organisation_id, appeal.status
    _record_assignment(
        appeal,
        organisation_id,
        recorder,
        actor,
        assignment_kind=assignment_kind or ("routed" if actor in {SYSTEM_ACTOR, NETWORK_ACTOR} else "assigned"),
        route=route,
    )
    appeal.organisation_id = organisation_id
    appeal.route = route_of(appeal).text_reading().replaced_by(route).dump()
    appeal.urgency = urgency or appeal.urgency
    appeal.closed_at = None
    appeal.outcome = None
    appeal.assigned_at = appeal.assigned_at or clock.now()
    if appeal.first_response_at is None:
        appeal.status = "assigned"
        clocks.start_first_response_clock(appeal, sla, actor)
        record_assigned(recorder, appeal, sla, actor)
    elif appeal.status in {"triage", "not_required"} and clocks.has_message_to_answer(appeal):
        clocks.start_next_response_clock(appeal, sla, actor)
        appeal.status = "reopened"
        deadline = clocks.next_response_text(appeal, sla)
        recorder.add_timeline_entry(appeal, "reopened", actor, deadline=deadline)
        recorder.add_event(AppealReopened(**event_snapshot(appeal)), actor)
    else:
        appeal.status = "assigned"
        clocks.follow_appeal(appeal, sla, actor)
        record_assigned(recorder, appeal, sla, actor)
    record_unassigned(recorder, appeal, previous_organisation_id, status_before, actor, reason=route.reason)
    recorder.queue_assignee_choice(appeal)
    recorder.queue_incident_replies(appeal)


def _record_assignment(
    appeal: Appeal,
    organisation_id: UUID,
    recorder: AppealRecorder,
    actor: str,
    *,
    assignment_kind: AssignmentKind,
    route: RouteSnapshot,
) -> None:
    """Record the assignment. A change of organisation counts as a transfer, even if the appeal was with the centre
    meanwhile.
    """
    if organisation_id == appeal.organisation_id:
        return
    recorder.add_assignment(
        appeal,
        assignment_kind,
        actor,
        from_organisation_id=appeal.organisation_id,
        to_organisation_id=organisation_id,
        rule_id=route.rule_id,
        reason=route.reason,
    )
    previous = route_of(appeal)
    last_organisation_id = appeal.organisation_id or previous.returned_by or previous.unassigned_from
    if last_organisation_id is not None and last_organisation_id != organisation_id:
        appeal.transfers += 1
        if appeal.transfers >= _REPEATED_TRANSFERS_FROM:
            times = f"{appeal.transfers} {plural(appeal.transfers, _TIMES)}"
            recorder.add_alert("repeated_transfers", appeal, f"Из рук в руки: организация сменилась {times}")


def record_unassigned(
    recorder: AppealRecorder,
    appeal: Appeal,
    previous_organisation_id: UUID | None,
    status: str,
    actor: str,
    *,
    reason: str | None,
) -> None:
    """Emit `appeal.moved` for the organisation that lost the appeal; all other events go to the new organisation
    only.
    """
    if previous_organisation_id is not None and previous_organisation_id != appeal.organisation_id:
        moved = AppealMoved(
            **event_snapshot(appeal),
            from_status=status,
            to_status=appeal.status,
            reason=reason,
            assignment_lost=True,
        )
        recorder.add_event(moved, actor, recipient_organisation_id=previous_organisation_id)


def reopen(
    appeal: Appeal,
    status: str,
    sla: SlaContext,
    recorder: AppealRecorder,
    actor: str,
    *,
    message: Message | None = None,
    asked_at: datetime | None = None,
    reason: str | None = None,
    not_solved: bool = False,
) -> None:
    """Reopen an answered or closed appeal with this status; in `triage` the clock of the next reply starts when a
    person decides that an answer is due. Without a message, clocks that the closing left unfinished go on.

    `asked_at`: when the message was edited into one that needs an answer; None: it was written so. `not_solved`:
    the answer did not solve the matter, so the clock of the final answer continues from its old start.
    """
    # A restart would erase a breach that reports have counted.
    keeps_clocks = message is None and clocks.has_started_clocks(appeal)
    if not keeps_clocks:
        now = clock.now()
        clocks.await_reply(
            appeal,
            sla,
            message_id=message.id if message else None,
            written_at=asked_at or (message.written_at if message else now),
            received_at=asked_at or (message.received_at if message else now),
        )
        appeal.overdue_recorded_at = None
    appeal.closed_at = None
    appeal.outcome = None
    appeal.status = status
    if status == "reopened" and appeal.first_response_at is not None and not keeps_clocks:
        kept = "ответ дан, но вопрос не решён" if not_solved else None
        clocks.start_next_response_clock(appeal, sla, actor, keeps_final_answer=kept)
    elif status == "reopened":
        # The appeal got no warnings and no recomputation after changes of calendars while it was closed.
        clocks.follow_appeal(appeal, sla, actor)
    deadline = clocks.next_response_text(appeal, sla)
    recorder.add_timeline_entry(appeal, "reopened", actor, status=status, reason=reason, deadline=deadline)
    recorder.add_event(AppealReopened(**event_snapshot(appeal), reason=reason), actor)
    recorder.queue_assignee_choice(appeal)


def answer_again(
    appeal: Appeal,
    outcome: str | None,
    sla: SlaContext,
    recorder: AppealRecorder,
    actor: str,
    *,
    reason: str | None,
) -> None:
    """Make the appeal answered again with this outcome, because the message that reopened it needs no answer or
    was split off; the clocks of the message end.
    """
    before, appeal.status, appeal.outcome = appeal.status, "answered", outcome
    clocks.withdraw_awaited_reply(appeal, sla, actor)
    payload: dict[str, Any] = {"from": before, "to": appeal.status, "reason": reason}
    recorder.add_timeline_entry(appeal, "moved", actor, **payload)
    moved = AppealMoved(**event_snapshot(appeal), from_status=before, to_status=appeal.status, reason=reason)
    recorder.add_event(moved, actor)
    # A moderator who had the appeal in triage does not work for the organisation.
    recorder.queue_assignee_choice(appeal)


def unassign(
    appeal: Appeal,
    sla: SlaContext,
    recorder: AppealRecorder,
    actor: str,
    *,
    route: RouteSnapshot,
) -> None:
    """Take the appeal from its organisation, because the active rules give no organisation for it; nothing is
    overdue until moderators decide.
    """
    previous_organisation_id, status = appeal.organisation_id, appeal.status
    recorder.add_assignment(
        appeal,
        "rerouted",
        actor,
        from_organisation_id=previous_organisation_id,
        to_organisation_id=None,
        rule_id=route.rule_id,
        reason=route.reason,
    )
    appeal.organisation_id = None
    appeal.status = "triage"
    appeal.route = route.updated(unassigned_from=previous_organisation_id).dump()
    clocks.follow_appeal(appeal, sla, actor)
    record_unassigned(recorder, appeal, previous_organisation_id, status, actor, reason=route.reason)
    recorder.queue_assignee_choice(appeal)
