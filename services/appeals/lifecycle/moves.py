"""Moves: the transitions that people request. workflow.py says which are allowed."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from services.appeals.lifecycle.route_snapshot import manual_route, route_of
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.transitions import AssignmentKind, assign, record_unassigned, reopen
from services.appeals.lifecycle.workflow import FINAL_STATUSES, allowed_moves, find_move, is_centre_role
from services.appeals.sla import clocks
from services.appeals.sla.limits import return_until
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.contracts.appeal_events import AppealClosed, AppealMoved
from shared.contracts.values import AppealOutcome
from shared.http.problems import Conflict, Invalid
from shared.tables.appeals import Appeal


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
    """Apply a person's move. `organisation_id` must exist and be open; `previous_organisations` have had the
    appeal before.

    Raises `Conflict` naming the allowed moves, `Forbidden` for a decision of the centre if the scope of the token
    does not include `appeals:triage`, `Invalid` naming a field that is missing or does not belong to the move.
    """
    step = find_move(appeal.status, to, caller.role)
    allowed = allowed_moves(
        appeal.status, caller.role, returns=appeal.returns, may_triage=caller.token_includes(Right.APPEALS_TRIAGE)
    )
    if step is None:
        allowed_names = ", ".join(allowed) if allowed else "none"
        raise Conflict(
            f"You may not move the appeal from «{appeal.status}» to «{to}»; allowed: {allowed_names}",
            allowed_moves=allowed,
        )
    if step.needs_triage(caller.role):
        caller.require(Right.APPEALS_TRIAGE)
    if step.is_exhausted(caller.role, appeal.returns):
        raise Conflict(
            "The appeal was already returned once: only the centre may now decide who answers",
            allowed_moves=allowed,
        )
    if step.requires_reason(caller.role) and not reason:
        raise Invalid.field("/reason", f"A move to «{to}» needs a reason")
    if organisation_id is not None and not step.takes_organisation:
        raise Invalid.field("/organisation_id", f"A move to «{to}» must not name an organisation")
    if outcome is not None and to != "closed":
        raise Invalid.field("/outcome", "Omit `outcome`: only a move to «closed» has one")
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
    """Raise `Invalid` or `Conflict` if staff may not transfer the appeal to the organisation."""
    if organisation_id is None:
        raise Invalid.field("/organisation_id", "Choose the organisation to transfer the appeal to")
    if organisation_id == appeal.organisation_id:
        raise Conflict("The organisation already has the appeal")
    if organisation_id in holders:
        raise Conflict(
            "That organisation has had the appeal before. Return the appeal to the centre instead",
            organisation_id=str(organisation_id),
        )


def _check_return_limit(appeal: Appeal, caller: Caller, sla: SlaContext) -> None:
    """Raise `Conflict` if the SLA policy no longer lets staff return or transfer the appeal."""
    until = None if is_centre_role(caller.role) else return_until(appeal, sla)
    if until is not None and until < clock.now():
        raise Conflict(
            f"The SLA policy allowed returning or transferring the appeal only until {until.isoformat()}",
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
            raise Invalid.field("/organisation_id", "Choose an organisation: none is suggested for the appeal")
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
            # Without a new outcome the outcome of the final answer stays.
            appeal.outcome = outcome or appeal.outcome


def _return_to_centre(
    appeal: Appeal,
    caller: Caller,
    sla: SlaContext,
    recorder: AppealRecorder,
    reason: str | None,
) -> None:
    """Return the appeal to the moderators; nothing is overdue until they decide, but clocks keep counting."""
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
    recorder.queue_assignee_choice(appeal)
