"""Transitions of appeals: those caused by messages and replies, and those that people request.

workflow.py says which transitions are allowed; this module applies them to the organisation, the clocks and the
timeline.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal
from uuid import UUID

from typing_extensions import TypeAliasType

from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.lifecycle.actors import NETWORK_ACTOR, SYSTEM_ACTOR
from services.appeals.lifecycle.route_snapshot import (
    RouteSnapshot,
    manual_route,
    route_of,
)
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import FINAL_STATUSES, allowed_moves, find_move, is_centre_role
from services.appeals.sla import clocks
from services.appeals.sla.limits import return_until
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import (
    AppealAssigned,
    AppealClassification,
    AppealClosed,
    AppealMoved,
    AppealReclassified,
    AppealReopened,
)
from shared.contracts.values import AppealOutcome
from shared.http.problems import Conflict, Invalid
from shared.russian import plural
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message

AssignmentKind = TypeAliasType(
    "AssignmentKind", Literal["routed", "assigned", "returned", "transferred", "rerouted"]
)

# From this many transfers on, moderators are alerted: the organisations do not resolve it among themselves.
_REPEATED_TRANSFERS_FROM = 3
_TIMES = ("раз", "раза", "раз")


def record_assigned(recorder: AppealRecorder, appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Record that the appeal was assigned: timeline entry and event."""
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
    recorder.settle_assignee(appeal)


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

    The clock counts from the moment that the policy names, not from this decision, so it includes the time that
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
    elif appeal.status == "triage" and clocks.has_message_to_answer(appeal):
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
    recorder.settle_assignee(appeal)


def _record_assignment(
    appeal: Appeal,
    organisation_id: UUID,
    recorder: AppealRecorder,
    actor: str,
    *,
    assignment_kind: AssignmentKind,
    route: RouteSnapshot,
) -> None:
    """Record the assignment. A change of organisation counts as a transfer, also when the appeal went through the
    centre.
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
    """Emit `appeal.moved` for the organisation that lost the appeal; its other events go to the new organisation
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
    reason: str | None = None,
    not_solved: bool = False,
) -> None:
    """Reopen an answered or closed appeal; in `triage` no clock runs until a person decides.

    `not_solved`: the answer did not solve the matter, so the clock of the final answer goes on from its old start.
    """
    now = clock.now()
    clocks.await_reply(
        appeal,
        sla,
        message_id=message.id if message else None,
        written_at=message.written_at if message else now,
        received_at=message.received_at if message else now,
    )
    appeal.closed_at = None
    appeal.outcome = None
    appeal.overdue_recorded_at = None
    appeal.status = status
    if status == "reopened" and appeal.first_response_at is not None:
        kept = "ответ дан, но вопрос не решён" if not_solved else None
        clocks.start_next_response_clock(appeal, sla, actor, keeps_final_answer=kept)
    elif status == "reopened":
        # Warnings and changes of calendars passed by the appeal while it was closed.
        clocks.follow_appeal(appeal, sla, actor)
    deadline = clocks.next_response_text(appeal, sla)
    recorder.add_timeline_entry(appeal, "reopened", actor, status=status, reason=reason, deadline=deadline)
    recorder.add_event(AppealReopened(**event_snapshot(appeal), reason=reason), actor)
    recorder.settle_assignee(appeal)


def classification_fields(appeal: Appeal) -> dict[str, str | None]:
    """Return the appeal's topic, location and urgency."""
    return {
        "topic_id": str(appeal.topic_id) if appeal.topic_id else None,
        **{part: getattr(appeal, part) for part in LOCATION_PARTS},
        "urgency": appeal.urgency,
    }


def record_reclassified(
    recorder: AppealRecorder, appeal: Appeal, before: dict[str, str | None], actor: str
) -> None:
    """Emit `appeal.reclassified` if topic, location or urgency changed."""
    after = classification_fields(appeal)
    changed = [name for name, value in after.items() if value != before[name]]
    if changed:
        reclassified = AppealReclassified(
            **event_snapshot(appeal),
            changed=changed,
            before=_published_classification(before),
            after=_published_classification(after),
        )
        recorder.add_event(reclassified, actor)


def _published_classification(fields: Mapping[str, str | None]) -> AppealClassification:
    """Return the part of a classification that events contain.

    Street and house are personal data and stay in the database.
    """
    return AppealClassification(**{name: fields[name] for name in AppealClassification.model_fields})


def raise_urgency(appeal: Appeal, sla: SlaContext, recorder: AppealRecorder, actor: str, *, why: str) -> None:
    """Make the appeal urgent and alert moderators.

    A running clock gets the shorter deadline of urgent appeals, from the same start.
    """
    appeal.urgency = "high"
    follow_classification(appeal, sla, actor)
    recorder.add_timeline_entry(appeal, "urgency_changed", actor, urgency="high", why=why)
    recorder.add_alert("urgent", appeal, why)


def follow_classification(appeal: Appeal, sla: SlaContext, actor: str) -> None:
    """Give the running clocks of an assigned appeal the policy for its topic and urgency, from their start."""
    if appeal.organisation_id is not None and appeal.status != "triage":
        clocks.follow_appeal(appeal, sla, actor)


def apply_move(
    appeal: Appeal,
    to: str,
    caller: Caller,
    sla: SlaContext,
    recorder: AppealRecorder,
    *,
    organisation_id: UUID | None = None,
    reason: str | None = None,
    outcome: AppealOutcome | None = None,
    previous_organisations: Collection[UUID] = (),
) -> None:
    """Apply a person's move. `organisation_id` is known to exist and to be open; `previous_organisations` have had
    the appeal.

    Raises `Conflict` naming the allowed moves, `Invalid` naming a field that is missing or does not belong to the
    move.
    """
    step = find_move(appeal.status, to, caller.role)
    allowed = allowed_moves(appeal.status, caller.role, returns=appeal.returns)
    if step is None:
        allowed_names = ", ".join(allowed) if allowed else "none"
        raise Conflict(
            f"You may not move the appeal from «{appeal.status}» to «{to}»; allowed: {allowed_names}",
            allowed_moves=allowed,
        )
    if step.is_exhausted(caller.role, appeal.returns):
        raise Conflict(
            "The appeal was already returned once: now only the centre may decide who answers",
            allowed_moves=allowed,
        )
    if step.requires_reason(caller.role) and not reason:
        raise Invalid.field("/reason", f"A move to «{to}» needs a reason")
    if organisation_id is not None and not step.takes_organisation:
        raise Invalid.field("/organisation_id", f"A move to «{to}» must not name an organisation")
    if outcome is not None and to != "closed":
        raise Invalid.field("/outcome", "Only a closed appeal has an outcome")
    if to == "assigned" and not is_centre_role(caller.role):
        _check_transfer(appeal, organisation_id, previous_organisations)
    if step.takes_owner_away:
        _check_return_limit(appeal, caller, sla)
    before = appeal.status
    _apply(
        appeal,
        to,
        caller,
        sla,
        recorder,
        organisation_id=organisation_id,
        reason=reason,
        outcome=outcome,
    )
    appeal.updated_at = clock.now()
    payload: dict[str, Any] = {"from": before, "to": appeal.status, "reason": reason}
    recorder.add_timeline_entry(appeal, "moved", caller.actor, **payload)
    state = event_snapshot(appeal)
    moved = AppealMoved(**state, from_status=before, to_status=appeal.status, reason=reason)
    recorder.add_event(moved, caller.actor)
    if appeal.status in FINAL_STATUSES:
        recorder.add_event(AppealClosed(**state, outcome=appeal.outcome, reason=reason), caller.actor)


def _check_transfer(appeal: Appeal, organisation_id: UUID | None, holders: Collection[UUID]) -> None:
    """Raise `Invalid` or `Conflict` where staff may not transfer the appeal to the organisation."""
    if organisation_id is None:
        raise Invalid.field("/organisation_id", "Name the organisation to transfer the appeal to")
    if organisation_id == appeal.organisation_id:
        raise Conflict("The organisation already has the appeal")
    if organisation_id in holders:
        raise Conflict(
            "That organisation has had the appeal before. Return the appeal to the centre instead",
            organisation_id=str(organisation_id),
        )


def _check_return_limit(appeal: Appeal, caller: Caller, sla: SlaContext) -> None:
    """Raise `Conflict` where the SLA policy no longer lets staff return or transfer the appeal."""
    until = None if is_centre_role(caller.role) else return_until(appeal, sla)
    if until is not None and until < clock.now():
        raise Conflict(
            f"The SLA policy allows to return or transfer the appeal only until {until.isoformat()}",
            return_until=until.isoformat(),
        )


def _apply(
    appeal: Appeal,
    to: str,
    caller: Caller,
    sla: SlaContext,
    recorder: AppealRecorder,
    *,
    organisation_id: UUID | None,
    reason: str | None,
    outcome: AppealOutcome | None,
) -> None:
    if to == "assigned":
        target_id = organisation_id or appeal.organisation_id or route_of(appeal).suggested_organisation_id
        if target_id is None:
            raise Invalid.field("/organisation_id", "Name the organisation: none is suggested")
        route = route_of(appeal)
        if organisation_id is not None and organisation_id != appeal.organisation_id:
            by = "Решение модератора" if is_centre_role(caller.role) else "Передано организацией"
            route = manual_route(reason or by)
        assignment_kind: AssignmentKind = "assigned" if is_centre_role(caller.role) else "transferred"
        assign(
            appeal,
            target_id,
            sla,
            recorder,
            caller.actor,
            route=route,
            assignment_kind=assignment_kind,
        )
    elif to == "reopened":
        reopen(appeal, "reopened", sla, recorder, caller.actor, reason=reason)
    elif to == "triage":
        _return_to_centre(appeal, caller, sla, recorder, reason)
    else:
        appeal.status = to
        if to in FINAL_STATUSES:
            appeal.closed_at = clock.now()
            # Without another outcome, that of the final answer stays.
            appeal.outcome = outcome or appeal.outcome


def _return_to_centre(
    appeal: Appeal,
    caller: Caller,
    sla: SlaContext,
    recorder: AppealRecorder,
    reason: str | None,
) -> None:
    """Return the appeal to the moderators; nothing is overdue until they decide, but the citizen's time counts."""
    previous_organisation_id, status = appeal.organisation_id, appeal.status
    recorder.add_assignment(
        appeal,
        "returned",
        caller.actor,
        from_organisation_id=previous_organisation_id,
        to_organisation_id=None,
        reason=reason,
    )
    if not is_centre_role(caller.role):
        appeal.returns += 1
    route = route_of(appeal)
    returned = route.updated(
        returned_by=previous_organisation_id or route.returned_by,
        return_reason=reason,
        triage_reason="returned",
        suggested_organisation_id=None,
        suggestions=[found for found in route.suggestions if found.organisation_id != previous_organisation_id],
    )
    appeal.route = returned.dump()
    appeal.organisation_id = None
    appeal.status = "triage"
    clocks.follow_appeal(appeal, sla, caller.actor)
    record_unassigned(recorder, appeal, previous_organisation_id, status, caller.actor, reason=reason)
    recorder.settle_assignee(appeal)


def unassign(
    appeal: Appeal,
    sla: SlaContext,
    recorder: AppealRecorder,
    actor: str,
    *,
    route: RouteSnapshot,
) -> None:
    """Take the appeal from its organisation, because the active rules name none; nothing is overdue until
    moderators decide.
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
    recorder.settle_assignee(appeal)
