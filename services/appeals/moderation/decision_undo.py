"""Undo of one decision: the appeal, the classification of its message and its review are restored, unless
something happened since.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import insert

from services.appeals.assignments import assignments
from services.appeals.assignments.assignments import require_open_organisation
from services.appeals.classification.types import LOCATION_PARTS
from services.appeals.lifecycle import appeal_queries, classification_changes
from services.appeals.lifecycle.restored_appeals import record_restored
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.workflow import find_move
from services.appeals.moderation import reviews
from services.appeals.replies import reply_queries
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from services.appeals.sla.clock_rows import unfinished
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Forbidden
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Classification, Review
from shared.tables.appeals_work import UNDO_MINUTES, UndoableDecision

DECISION_UNDO_REASON = "Решение отменено"
# Statuses that can be restored; `triage` only before the first reply, because clocks cannot be set back. For the
# same reason a decision that ended the clock of the next response, or gave it to another message, is not undone.
_RESTORED = frozenset({"triage", "assigned", "in_progress", "interim", "reopened"})


class _Former(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True, extra="ignore")


class FormerAppeal(_Former):
    """The fields of an appeal that a decision may replace."""

    status: str
    organisation_id: UUID | None
    assignee_id: UUID | None
    assigned_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    transfers: int
    returns: int
    topic_id: UUID | None
    urgency: str
    municipality: str | None
    settlement: str | None
    street: str | None
    house: str | None
    route: dict[str, Any]


class _FormerClassification(_Former):
    needs_answer: str
    type: str
    urgency: str
    topic_id: UUID | None
    needs_answer_confidence: float
    topic_confidence: float | None
    top3: list[dict[str, Any]]
    municipality: str | None
    settlement: str | None
    street: str | None
    house: str | None
    location_source: str | None
    language: str
    utility_failure: str | None
    why: str
    classified_by: str


class _FormerReview(_Former):
    predicted_by: str
    predicted: dict[str, Any]
    decided: dict[str, Any]
    topic_group_id: UUID | None
    organisation_id: UUID | None
    agrees_needs_answer: bool | None
    agrees_topic_group: bool | None
    agrees_topic: bool | None
    agrees_location: bool | None
    agrees_urgency: bool | None
    agrees_organisation: bool | None
    reviewed_by: str


class BeforeDecision(_Former):
    """The state before a decision: of the appeal, and of the classification and review of the message. `at` is the
    moment of the decision: everything that the decision writes has this time or a later one. `awaited`: the clock
    of the next response, and the message that it counts from.
    """

    at: datetime
    appeal: FormerAppeal
    awaited: tuple[UUID, UUID | None] | None = None
    message_id: UUID | None = None
    classification: _FormerClassification | None = None
    review: _FormerReview | None = None

    @staticmethod
    def of(
        appeal: Appeal, classification: Classification | None = None, review: Review | None = None
    ) -> "BeforeDecision":
        """Return the current state."""
        return BeforeDecision(
            at=clock.now(),
            appeal=FormerAppeal.model_validate(appeal),
            awaited=_awaited(appeal),
            message_id=classification.message_id if classification else None,
            classification=_FormerClassification.model_validate(classification) if classification else None,
            review=_FormerReview.model_validate(review) if review else None,
        )


def _awaited(appeal: Appeal) -> tuple[UUID, UUID | None] | None:
    row = unfinished(appeal, "next_response")
    return (row.id, row.message_id) if row is not None else None


async def remember(
    session: WriteSession, caller: Caller, appeal: Appeal, former: BeforeDecision, assignment_ids: Sequence[UUID]
) -> None:
    """Store the state that a decision replaced, after the decision is written. A state that cannot be restored is
    not stored.
    """
    await session.flush()
    was = former.appeal
    if was.status not in _RESTORED or (was.status == "triage" and appeal.first_response_at is not None):
        return
    if former.awaited is not None and former.awaited != _awaited(appeal):
        return
    state = former.model_dump(mode="json")
    values = {
        "version": appeal.version,
        "decided_by": caller.actor,
        "decided_at": former.at,
        "former": state["appeal"],
        "message_id": former.message_id,
        "classification": state["classification"],
        "review": state["review"],
        "assignment_ids": list(assignment_ids),
    }
    row = insert(UndoableDecision).values(appeal_id=appeal.id, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["appeal_id"], set_=values))


async def undo_decision(session: WriteSession, caller: Caller, appeal_id: UUID, *, version: int | None) -> Appeal:
    """Undo the caller's last decision about an appeal. Raises `NotFound`, `PreconditionFailed`, `Conflict` if
    there is no such decision or something happened since, `Forbidden`, and `Invalid` if the former organisation
    has closed.
    """
    found = await session.get(UndoableDecision, appeal_id)
    if found is not None and found.message_id is not None:
        await reviews.lock_review(session, found.message_id)
    appeal = await appeal_queries.lock(session, caller, appeal_id)
    await appeal_queries.check_version(session, appeal, version)
    locked_message = found.message_id if found is not None else None
    decision = _restorable(
        await session.get(UndoableDecision, appeal_id, populate_existing=True), locked_message, appeal, caller
    )
    if await reply_queries.has_reply_under_way(session, appeal):
        raise Conflict(
            "A reply to the appeal is under way, so the decision cannot be undone: decide about the appeal again"
        )
    former = FormerAppeal.model_validate(decision.former)
    await require_open_organisation(session, former.organisation_id)
    await _restore_classification(session, decision)
    await _restore(session, appeal, former, decision, caller)
    await session.delete(decision)
    await session.flush()
    return appeal


def _restorable(
    decision: UndoableDecision | None, locked_message: UUID | None, appeal: Appeal, caller: Caller
) -> UndoableDecision:
    """Return the decision if it can be undone. Raises `Conflict` or `Forbidden` if it cannot."""
    oldest = clock.now() - timedelta(minutes=UNDO_MINUTES)
    if decision is None or decision.decided_at < oldest or decision.decided_by != caller.actor:
        raise Conflict(
            f"You made no decision about the appeal in the last {UNDO_MINUTES} minutes that can be undone"
        )
    if decision.version != appeal.version or decision.message_id != locked_message:
        raise Conflict("The appeal was changed since the decision: decide about it again")
    former_status = FormerAppeal.model_validate(decision.former).status
    if decision.message_id is not None or former_status == appeal.status:
        caller.require(Right.APPEALS_TRIAGE)
        return decision
    move = find_move(former_status, appeal.status, caller.role)
    if move is None:
        raise Forbidden(f"The role «{caller.role}» may not move an appeal from «{former_status}»")
    if move.needs_triage(caller.role):
        caller.require(Right.APPEALS_TRIAGE)
    return decision


async def _restore_classification(session: WriteSession, decision: UndoableDecision) -> None:
    """Restore the former classification of the message, with a new version, and its former review or the absence
    of one.
    """
    if decision.message_id is None:
        return
    row = await session.get_one(Classification, decision.message_id, populate_existing=True)
    for name, value in _FormerClassification.model_validate(decision.classification):
        setattr(row, name, value)
    row.version += 1
    review = await session.get_one(Review, decision.message_id, populate_existing=True)
    if decision.review is None:
        await session.delete(review)
        return
    for name, value in _FormerReview.model_validate(decision.review):
        setattr(review, name, value)


async def _restore(
    session: WriteSession, appeal: Appeal, former: FormerAppeal, decision: UndoableDecision, caller: Caller
) -> None:
    organisations = {one for one in (appeal.organisation_id, former.organisation_id) if one is not None}
    context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder, lost_by, status = AppealRecorder(), appeal.organisation_id, appeal.status
    before, assignee_id = classification_changes.classification_fields(appeal), appeal.assignee_id
    for name, value in former:
        setattr(appeal, name, value)
    appeal.assignee_id = assignee_id
    appeal.updated_at = clock.now()
    await assignments.remove(session, decision.assignment_ids)
    clocks.follow_appeal(appeal, context.sla, caller.actor)
    _record_classification(recorder, appeal, before, caller.actor)
    await record_restored(
        session, appeal, caller, context.sla, recorder,
        lost_by=lost_by, status=status, assignee_id=former.assignee_id, reason=DECISION_UNDO_REASON,
        undone_since=decision.decided_at,
    )  # fmt: skip


def _record_classification(
    recorder: AppealRecorder, appeal: Appeal, before: dict[str, str | None], actor: str
) -> None:
    after = classification_changes.classification_fields(appeal)
    changed = {name for name, value in after.items() if value != before[name]}
    if "topic_id" in changed:
        recorder.add_timeline_entry(appeal, "topic_changed", actor, topic_id=after["topic_id"])
    if changed & set(LOCATION_PARTS):
        location = {part: after[part] for part in LOCATION_PARTS}
        recorder.add_timeline_entry(appeal, "location_changed", actor, location=location)
    if "urgency" in changed:
        recorder.add_timeline_entry(appeal, "urgency_changed", actor, urgency=appeal.urgency)
    classification_changes.record_reclassified(recorder, appeal, before, actor)
