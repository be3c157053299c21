"""Steps of a case: those that follow from what citizens and staff write, and those that people order.

workflow.py says which steps there are; here is what each does to the owner, the clocks and the journal.
"""

from collections.abc import Collection
from typing import Any, Literal
from uuid import UUID

from services.appeals.classification.types import PLACE
from services.appeals.lifecycle.actors import NETWORK, SYSTEM
from services.appeals.lifecycle.route_snapshot import _suggested, gave_back
from services.appeals.lifecycle.timeline import Journal
from services.appeals.lifecycle.workflow import ENDED, Outcome, allowed_moves, find_move, is_of_centre
from services.appeals.routing.context import Reference
from services.appeals.routing.engine import Route
from services.appeals.sla import clocks
from shared import clock
from shared.auth.callers import Caller
from shared.http.problems import Conflict, Invalid
from shared.russian import plural
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message

Handing = Literal["routed", "assigned", "returned", "transferred", "rerouted"]

# What is kept of a former route: the reading of the words does not change with the owner.
_READ = ("topic", "why")
# What others are told of a class: where exactly a citizen has trouble stays in the house.
_TOLD = ("topic_id", "municipality", "settlement", "urgency")
# From so many ways from one organisation to another on, a case is nobody's.
_PING_PONG_FROM = 3
_TIMES = ("раз", "раза", "раз")


def keep_waiting(appeal: Appeal, route: Route) -> None:
    """The case goes on waiting for a moderator, with what the rules say of it now."""
    appeal.route = {**appeal.route, **route.waiting(without=gave_back(appeal))}


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


def tell_first_owner(journal: Journal, appeal: Appeal, actor: str, *, handing: Handing = "routed") -> None:
    """A case that was opened on a desk at once: its first hand, timeline and event."""
    route = appeal.route
    journal.hand(
        appeal,
        handing,
        actor,
        former=None,
        to=appeal.organisation_id,
        rule_id=route.get("rule_id"),
        reason=route.get("reason"),
    )
    tell_assigned(journal, appeal, actor)


def accept(
    appeal: Appeal,
    organisation_id: UUID,
    reference: Reference,
    journal: Journal,
    actor: str,
    *,
    route: dict[str, Any],
    urgency: str | None = None,
    handing: Handing | None = None,
) -> None:
    """An answer is due, by this owner. The clock counts from the policy's moment, not from the decision: time that
    the centre spent on deciding is not hidden.

    `handing` says how the case came to the owner; left out: by the rules if the system does it, else by a person.
    """
    calendar = reference.calendar(organisation_id)
    former, status_before = appeal.organisation_id, appeal.status
    _give(
        appeal,
        organisation_id,
        journal,
        actor,
        handing=handing or ("routed" if actor in {SYSTEM, NETWORK} else "assigned"),
        route=route,
    )
    appeal.organisation_id = organisation_id
    appeal.route = {name: appeal.route[name] for name in _READ if name in appeal.route} | route
    appeal.urgency = urgency or appeal.urgency
    appeal.closed_at = None
    appeal.outcome = None
    appeal.assigned_at = appeal.assigned_at or clock.now()
    if appeal.first_response_at is None:
        appeal.status = "assigned"
        clocks.set_deadline(appeal, reference.policies, calendar)
        tell_assigned(journal, appeal, actor)
    elif appeal.status == "triage":
        start_next(appeal, reference)
        appeal.status = "reopened"
        journal.note(appeal, "reopened", actor, deadline=(appeal.deadline or {}).get("next", {}).get("text"))
        journal.tell(appeal, "appeal.reopened", actor)
    else:
        appeal.status = "assigned"
        clocks.recompute(appeal, reference.policies, calendar)
        tell_assigned(journal, appeal, actor)
    tell_former_owner(journal, appeal, former, status_before, actor, reason=route.get("reason"))


def _give(
    appeal: Appeal,
    organisation_id: UUID,
    journal: Journal,
    actor: str,
    *,
    handing: Handing,
    route: dict[str, Any],
) -> None:
    """Note the step to another owner; from one organisation to another, also by way of the centre, it counts."""
    if organisation_id == appeal.organisation_id:
        return
    journal.hand(
        appeal,
        handing,
        actor,
        former=appeal.organisation_id,
        to=organisation_id,
        rule_id=route.get("rule_id"),
        reason=route.get("reason"),
    )
    left = appeal.route.get("returned_by") or appeal.route.get("held_by")
    held = appeal.organisation_id or (UUID(left) if left else None)
    if held is not None and held != organisation_id:
        appeal.handovers += 1
        if appeal.handovers >= _PING_PONG_FROM:
            times = f"{appeal.handovers} {plural(appeal.handovers, _TIMES)}"
            journal.alert("ping_pong", appeal, f"Из рук в руки: организация сменилась {times}")


def tell_former_owner(
    journal: Journal, appeal: Appeal, former: UUID | None, status: str, actor: str, *, reason: str | None
) -> None:
    """Who lost the case hears of it: the case's other events are for its owner alone."""
    if former is not None and former != appeal.organisation_id:
        journal.tell(
            appeal,
            "appeal.moved",
            actor,
            former_owner=former,
            **{"from": status, "to": appeal.status, "reason": reason, "left": True},
        )


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
    clocks.start_waiting(appeal, reference.policies, reference.calendar(appeal.organisation_id))


def class_of(appeal: Appeal) -> dict[str, str | None]:
    """What a case is about, where and how urgent."""
    return {
        "topic_id": str(appeal.topic_id) if appeal.topic_id else None,
        **{part: getattr(appeal, part) for part in PLACE},
        "urgency": appeal.urgency,
    }


def tell_reclassified(journal: Journal, appeal: Appeal, before: dict[str, str | None], actor: str) -> None:
    """Topic, place or urgency is another than before: with it the deadline may be. No street or house is told."""
    after = class_of(appeal)
    changed = [name for name, value in after.items() if value != before[name]]
    if changed:
        told: dict[str, Any] = {"changed": changed}
        told |= {
            when: {name: found[name] for name in _TOLD} for when, found in (("before", before), ("after", after))
        }
        journal.tell(appeal, "appeal.reclassified", actor, **told)


def raise_urgency(appeal: Appeal, reference: Reference, journal: Journal, actor: str, *, why: str) -> None:
    """A running clock gets the shorter deadline of urgent cases, from the same start; a moderator is alerted."""
    change_urgency(appeal, "high", reference)
    journal.note(appeal, "urgency_changed", actor, urgency="high", why=why)
    journal.alert("urgent", appeal, why)


def change_urgency(appeal: Appeal, urgency: str, reference: Reference) -> None:
    """Set the urgency; a clock that runs is computed anew from its start."""
    appeal.urgency = urgency
    if appeal.organisation_id is not None and appeal.status != "triage":
        clocks.recompute(appeal, reference.policies, reference.calendar(appeal.organisation_id))


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
    holders: Collection[UUID] = (),
) -> None:
    """A person moves the case; `organisation_id` is known to exist and to work, `holders` are those that have had
    the case.

    Raises `Conflict` naming the allowed moves, `Invalid` naming the field that is missing or out of place.
    """
    step = find_move(appeal.status, to, caller.role)
    allowed = allowed_moves(appeal.status, caller.role, returns=appeal.returns)
    if step is None:
        named = ", ".join(allowed) if allowed else "none"
        raise Conflict(
            f"No move from «{appeal.status}» to «{to}» for you; allowed: {named}", allowed_moves=allowed
        )
    if step.is_spent(caller.role, appeal.returns):
        raise Conflict(
            "The case was given back once already; now the centre decides who answers", allowed_moves=allowed
        )
    if step.asks_reason(caller.role) and not reason:
        raise Invalid.field("/reason", f"A move to «{to}» needs a reason")
    if organisation_id is not None and not step.takes_organisation:
        raise Invalid.field("/organisation_id", f"A move to «{to}» names no organisation")
    if outcome is not None and to != "closed":
        raise Invalid.field("/outcome", "Only a closed case has an outcome")
    if to == "assigned" and not is_of_centre(caller.role):
        _check_transfer(appeal, organisation_id, holders)
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


def _check_transfer(appeal: Appeal, organisation_id: UUID | None, holders: Collection[UUID]) -> None:
    """What staff may not do when they hand a case to another organisation."""
    if organisation_id is None:
        raise Invalid.field("/organisation_id", "Name the organisation that the case goes to")
    if organisation_id == appeal.organisation_id:
        raise Conflict("The organisation has the case already")
    if organisation_id in holders:
        raise Conflict(
            "That organisation has had the case before: cases do not go round; give it back to the centre",
            organisation_id=str(organisation_id),
        )


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
            by = "Решение модератора" if is_of_centre(caller.role) else "Передано организацией"
            route = {"reason": reason or by, "rule_id": None, "confidence": 1.0}
        handing: Handing = "assigned" if is_of_centre(caller.role) else "transferred"
        accept(appeal, owner, reference, journal, caller.actor, route=route, handing=handing)
    elif to == "reopened":
        wake(appeal, "reopened", reference, journal, caller.actor, reason=reason)
    elif to == "triage":
        _give_back(appeal, caller, journal, reason)
    else:
        appeal.status = to
        if to in ENDED:
            appeal.closed_at = clock.now()
            appeal.outcome = outcome


def _give_back(appeal: Appeal, caller: Caller, journal: Journal, reason: str | None) -> None:
    """The owner says it is another's matter: moderators decide, and no clock runs against anyone until then."""
    former, status = appeal.organisation_id, appeal.status
    journal.hand(appeal, "returned", caller.actor, former=former, to=None, reason=reason)
    if not is_of_centre(caller.role):
        appeal.returns += 1
    appeal.route = {
        **appeal.route,
        "returned_by": str(former) if former else appeal.route.get("returned_by"),
        "return_reason": reason,
        "waiting_for": "returned",
        "suggested_organisation_id": None,
        "suggestions": [
            found for found in appeal.route.get("suggestions", []) if found["organisation_id"] != str(former)
        ],
    }
    appeal.organisation_id = None
    appeal.status = "triage"
    tell_former_owner(journal, appeal, former, status, caller.actor, reason=reason)


def withdraw(appeal: Appeal, journal: Journal, actor: str, *, route: dict[str, Any]) -> None:
    """The rules in force name no owner any more: moderators decide, and no clock runs until then."""
    former, status = appeal.organisation_id, appeal.status
    journal.hand(
        appeal, "rerouted", actor, former=former, to=None, rule_id=route.get("rule_id"), reason=route.get("reason")
    )
    appeal.organisation_id = None
    appeal.status = "triage"
    appeal.route = route | {"held_by": str(former) if former else None}
    tell_former_owner(journal, appeal, former, status, actor, reason=route.get("reason"))
