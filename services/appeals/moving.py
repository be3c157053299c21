"""Steps of a case: those that follow from what citizens and staff write, and those that people order.

workflow.py says which steps there are; here is what each does to the owner, the clocks and the journal.
"""

from typing import Any
from uuid import UUID

from services.appeals import deadlines
from services.appeals.reference import Reference
from services.appeals.timeline import Journal
from services.appeals.workflow import ENDED, Outcome, allowed_moves, find_move
from shared import clock
from shared.access import Caller
from shared.problems import Conflict, Invalid
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message


def tell_assigned(journal: Journal, appeal: Appeal, actor: str) -> None:
    """The case has an owner: timeline and event."""
    journal.note(
        appeal,
        "assigned",
        actor,
        organisation_id=str(appeal.organisation_id),
        reason=appeal.route.get("reason"),
        deadline=(appeal.deadline or {}).get("text"),
    )
    journal.tell(appeal, "appeal.assigned", actor)


def accept(
    appeal: Appeal,
    organisation_id: UUID,
    reference: Reference,
    journal: Journal,
    actor: str,
    *,
    route: dict[str, Any],
    urgency: str | None = None,
) -> None:
    """An answer is due, by this owner. The clock counts from the policy's moment, not from the decision: time that
    the centre spent on deciding is not hidden.
    """
    calendar = reference.calendar(organisation_id)
    appeal.organisation_id = organisation_id
    appeal.route = route
    appeal.urgency = urgency or appeal.urgency
    appeal.closed_at = None
    appeal.outcome = None
    appeal.assigned_at = appeal.assigned_at or clock.now()
    if appeal.first_response_at is None:
        appeal.status = "assigned"
        deadlines.set_deadline(appeal, reference.policies, calendar)
        tell_assigned(journal, appeal, actor)
    elif appeal.status == "triage":
        start_next(appeal, reference)
        appeal.status = "reopened"
        journal.note(appeal, "reopened", actor, deadline=(appeal.deadline or {}).get("next", {}).get("text"))
        journal.tell(appeal, "appeal.reopened", actor)
    else:
        appeal.status = "assigned"
        deadlines.recompute(appeal, reference.policies, calendar)
        tell_assigned(journal, appeal, actor)


def wake(
    appeal: Appeal,
    status: str,
    reference: Reference,
    journal: Journal,
    actor: str,
    *,
    message: Message | None = None,
    reason: str | None = None,
) -> None:
    """An answered or closed case lives again; in `triage` no clock runs until a person decides."""
    now = clock.now()
    waiting = {
        "message_id": str(message.id) if message else None,
        "written_at": (message.written_at if message else now).isoformat(),
        "received_at": (message.received_at if message else now).isoformat(),
    }
    appeal.deadline = {**(appeal.deadline or {}), "next": waiting}
    appeal.closed_at = None
    appeal.outcome = None
    appeal.promised_at = None
    appeal.overdue_noted_at = None
    appeal.status = status
    if status == "reopened" and appeal.first_response_at is not None:
        start_next(appeal, reference)
    deadline = appeal.deadline["next"].get("text")
    journal.note(appeal, "reopened", actor, status=status, reason=reason, deadline=deadline)
    journal.tell(appeal, "appeal.reopened", actor, reason=reason)


def start_next(appeal: Appeal, reference: Reference) -> None:
    """Start the clock of the answer to the message that woke the case."""
    deadlines.start_waiting(appeal, reference.policies, reference.calendar(appeal.organisation_id))


def raise_urgency(appeal: Appeal, reference: Reference, journal: Journal, actor: str, *, why: str) -> None:
    """A running clock gets the shorter deadline of urgent cases, from the same start."""
    change_urgency(appeal, "high", reference)
    journal.note(appeal, "urgency_changed", actor, urgency="high", why=why)


def change_urgency(appeal: Appeal, urgency: str, reference: Reference) -> None:
    """Set the urgency; a clock that runs is computed anew from its start."""
    appeal.urgency = urgency
    if appeal.organisation_id is not None and appeal.status != "triage":
        deadlines.recompute(appeal, reference.policies, reference.calendar(appeal.organisation_id))


def move(
    appeal: Appeal,
    to: str,
    caller: Caller,
    reference: Reference,
    journal: Journal,
    *,
    organisation_id: UUID | None = None,
    reason: str | None = None,
    outcome: Outcome | None = None,
) -> None:
    """A person moves the case; `organisation_id` is known to exist and to work.

    Raises `Conflict` naming the allowed moves, `Invalid` naming the field that is missing or out of place.
    """
    step = find_move(appeal.status, to, caller.role)
    if step is None:
        allowed = allowed_moves(appeal.status, caller.role)
        named = ", ".join(allowed) if allowed else "none"
        raise Conflict(
            f"No move from «{appeal.status}» to «{to}» for you; allowed: {named}", allowed_moves=allowed
        )
    if step.needs_reason and not reason:
        raise Invalid.field("/reason", f"A move to «{to}» needs a reason")
    if organisation_id is not None and not step.takes_organisation:
        raise Invalid.field("/organisation_id", f"A move to «{to}» names no organisation")
    if outcome is not None and to != "closed":
        raise Invalid.field("/outcome", "Only a closed case has an outcome")
    before = appeal.status
    _carry_out(
        appeal, to, caller, reference, journal, organisation_id=organisation_id, reason=reason, outcome=outcome
    )
    appeal.updated_at = clock.now()
    told: dict[str, Any] = {"from": before, "to": appeal.status, "reason": reason}
    journal.note(appeal, "moved", caller.actor, **told)
    journal.tell(appeal, "appeal.moved", caller.actor, **told)
    if appeal.status in ENDED:
        journal.tell(appeal, "appeal.closed", caller.actor, outcome=appeal.outcome, reason=reason)


def _carry_out(
    appeal: Appeal,
    to: str,
    caller: Caller,
    reference: Reference,
    journal: Journal,
    *,
    organisation_id: UUID | None,
    reason: str | None,
    outcome: Outcome | None,
) -> None:
    if to == "assigned":
        owner = organisation_id or appeal.organisation_id or _suggested(appeal)
        if owner is None:
            raise Invalid.field("/organisation_id", "Name the organisation: none is suggested")
        route = appeal.route
        if organisation_id is not None and organisation_id != appeal.organisation_id:
            route = {"reason": reason or "Решение модератора", "rule_id": None, "confidence": 1.0}
        accept(appeal, owner, reference, journal, caller.actor, route=route)
    elif to == "reopened":
        wake(appeal, "reopened", reference, journal, caller.actor, reason=reason)
    elif to == "triage":
        _give_back(appeal, reason)
    else:
        appeal.status = to
        if to in ENDED:
            appeal.closed_at = clock.now()
            appeal.outcome = outcome


def _give_back(appeal: Appeal, reason: str | None) -> None:
    """The owner says it is another's matter: moderators decide, and no clock runs against anyone until then."""
    appeal.route = {
        **appeal.route,
        "returned_by": str(appeal.organisation_id),
        "return_reason": reason,
        "suggested_organisation_id": None,
    }
    appeal.organisation_id = None
    appeal.status = "triage"


def _suggested(appeal: Appeal) -> UUID | None:
    suggested = appeal.route.get("suggested_organisation_id")
    return UUID(suggested) if suggested else None
