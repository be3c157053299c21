"""Decisions of moderators: whether a message needs an answer, and who answers an appeal."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.assignee_wish import UNCHANGED, AssigneeWish
from services.appeals.classification.classifier_pool import ClassifierInput, classifier_pool
from services.appeals.classification.types import (
    ANSWERED_TYPES,
    ClassificationResult,
    is_automatic,
)
from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.inbound.locked_appeals import LockedAppeals
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.inbound.thread_context import ThreadContext, select_messages
from services.appeals.lifecycle import appeal_queries, assignee_changes, assignments, transitions
from services.appeals.lifecycle.assignments import require_open_organisation
from services.appeals.lifecycle.erasure_lock import require_reading
from services.appeals.lifecycle.route_snapshot import PredictedTopic, manual_route, route_of
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.moderation import reviews
from services.appeals.moderation.corrections import Corrections, check_corrections, location_of
from services.appeals.moderation.decision_undo import BeforeDecision, remember
from services.appeals.moderation.earlier_decisions import require_not_decided_by_another
from services.appeals.replies import reply_queries
from services.appeals.routing.context import RoutingContext
from services.appeals.routing.engine import Route
from services.appeals.sla import clocks
from shared import clock
from shared.api.preconditions import UNSEEN, Seen
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealMoved
from shared.contracts.values import AppealOutcome
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification, Review, Topic
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message

MODERATOR_REASON = "Решение модератора"
# The other moves are returns and steps of the work, which go back by a move.
_UNDOABLE_MOVES = frozenset({"assigned", "closed", "not_required"})


@dataclass(frozen=True)
class TriageDecision:
    """The result of a person's decision about a message.

    `opened`: the message opened the appeal. `rerouted`: the corrected topic or location gave the appeal another
    organisation. `suggested`: the route that the rules name now, where it differs from the appeal's organisation.
    """

    classification: Classification
    review: Review
    appeal: Appeal | None
    opened: bool = False
    rerouted: bool = False
    suggested: Route | None = None


@dataclass
class _AppealState:
    """An appeal that a person decides about. `work_started`: the organisation works on it; `assigned_by_person`: a
    person chose the organisation.

    `returned_by`: the organisations that returned it; only a person who names one of them assigns it to them
    again.
    """

    appeal: Appeal
    work_started: bool
    assigned_by_person: bool
    other_message_needs_answer: bool
    returned_by: Collection[UUID] = ()
    rerouted: bool = False
    suggested: Route | None = None

    @staticmethod
    async def load(session: AsyncSession, appeal: Appeal, message_id: UUID | None) -> "_AppealState":
        replies = exists().where(Reply.appeal_id == appeal.id)
        # After a reply, what was written before the message that awaits one has its answer.
        since = clocks.awaiting_since(appeal) if appeal.first_response_at is not None else None
        others = (
            select(AppealMessage.message_id)
            .join(Message, Message.id == AppealMessage.message_id)
            .join(Classification, Classification.message_id == AppealMessage.message_id)
            .where(
                AppealMessage.appeal_id == appeal.id,
                AppealMessage.message_id != message_id,
                Classification.needs_answer != "no",
                Message.written_at >= since if since is not None else true(),
            )
            .exists()
        )
        replied, moved, others_need = (
            await session.execute(select(replies, assignments.moved_by_person(appeal.id), others))
        ).one()
        begun = replied or appeal.status not in {"triage", "assigned"}
        return _AppealState(appeal, begun, moved, others_need, await assignments.returned_by(session, appeal))


async def classify_text(item: ClassifierInput) -> ClassificationResult:
    """Return the classification of a text. Raises as `ClassifierPool.classify_one` does."""
    return (await classifier_pool().classify_one(item)).result


def stored_result(stored: reviews.ReviewSnapshot, routing_context: RoutingContext) -> ClassificationResult:
    """Return a stored classification as a classifier's result."""
    codes = {topic_id: code for code, topic_id in routing_context.topic_ids.items()}
    municipality_names = {oktmo: name for name, oktmo in routing_context.municipalities.items()}
    same = ("needs_answer", "type", "urgency", "topic_confidence", "settlement", "street", "house", "language",
            "utility_failure", "why")  # fmt: skip
    candidates = ((codes.get(UUID(one["topic_id"])), one["confidence"]) for one in stored["top3"])
    return ClassificationResult(
        **{name: stored[name] for name in same},
        needs_answer_confidence=stored["needs_answer_confidence"],
        location_source=stored["location_source"],
        topic=codes.get(UUID(stored["topic_id"])) if stored["topic_id"] else None,
        topic_candidates=tuple((code, probability) for code, probability in candidates if code is not None),
        municipality=municipality_names.get(stored["municipality"]),
    )


def corrected_result(
    predicted: ClassificationResult,
    corrections: Corrections,
    topic: Topic | None,
    routing_context: RoutingContext,
    *,
    needs_answer: bool,
) -> ClassificationResult:
    """Return a person's decision, completed by the predicted result."""
    kind = corrections.type or (
        predicted.type
        if (predicted.type in ANSWERED_TYPES) == needs_answer
        else "request"
        if needs_answer
        else "chatter"
    )
    if not needs_answer:
        return ClassificationResult("no", kind, "normal", None, 1.0, MODERATOR_REASON, language=predicted.language)
    result = replace(
        predicted,
        needs_answer="yes",
        type=kind,
        urgency="high" if (corrections.urgency or predicted.urgency) == "high" else "normal",
        topic=topic.code if topic else predicted.topic,
        # What a person named or confirmed is certain.
        topic_confidence=1.0
        if topic or (corrections.confirms_rest and predicted.topic)
        else predicted.topic_confidence,
        needs_answer_confidence=1.0,
        why=MODERATOR_REASON,
    )
    if not corrections.sets_location:
        return result
    oktmo = routing_context.municipality_code(predicted)
    location = corrections.merged_location(
        {
            "municipality": oktmo,
            "settlement": predicted.settlement,
            "street": predicted.street,
            "house": predicted.house,
        }
    )
    names = {oktmo: name for name, oktmo in routing_context.municipalities.items()}
    return replace(
        result,
        municipality=names.get(location["municipality"] or ""),
        settlement=location["settlement"],
        street=location["street"],
        house=location["house"],
        location_source="person" if any(location.values()) else None,
    )


async def decide_message(
    session: WriteSession,
    caller: Caller,
    message_id: UUID,
    corrections: Corrections,
    *,
    needs_answer: bool,
    seen: Seen = UNSEEN,
    appeal_version: int | None = None,
) -> TriageDecision:
    """Confirm or correct the classification of a message, and apply it to the message's appeal.

    `seen` and `appeal_version` are the versions of the classification and of the appeal that the person saw.
    `needs_answer` true opens an appeal, joins the one of its matter, or starts the clock of an unclear one; false
    closes an appeal that nobody has started to work on and that no other message needs. Raises `NotFound`,
    `Invalid`, `Conflict` when the appeal has moved on, `PreconditionFailed`, and as
    `reviews.check_not_stale` does.
    """
    await require_reading(session)
    await reviews.lock_review(session, message_id)
    message = await session.scalar(select_messages().where(Message.id == message_id))
    if message is None:
        raise NotFound("No such message")
    if message.from_community:
        raise Conflict("A message of the page itself needs no answer")
    if needs_answer:
        _require_not_erased(message)
    return await _decide(
        session, caller, message, corrections, needs_answer=needs_answer, seen=seen, appeal_version=appeal_version
    )


def _require_not_erased(message: Message) -> None:
    if message.erased_at is not None:
        raise Conflict("The personal data of the author was erased: nobody can be answered")


async def _decide(
    session: WriteSession,
    caller: Caller,
    message: Message,
    corrections: Corrections,
    *,
    needs_answer: bool,
    seen: Seen = UNSEEN,
    appeal_version: int | None = None,
) -> TriageDecision:
    topic = await check_corrections(session, corrections, needs_answer=needs_answer)
    thread_context = await ThreadContext.load(session, [message])
    locked = await LockedAppeals.load(session, [message, *thread_context.parents.values()])
    routing_context = await RoutingContext.load(
        session,
        {message.page_id} | locked.page_ids(),
        locked.organisation_ids() | ({corrections.organisation_id} if corrections.organisation_id else set()),
    )
    existing = locked.appeals.get(locked.by_message.get(message.id, message.id))
    if existing is not None:
        await appeal_queries.check_version(session, existing, appeal_version)
    state = await _AppealState.load(session, existing, message.id) if existing else None
    previous_review = await session.get(Review, message.id, populate_existing=True)
    triage = await session.get(Classification, message.id, populate_existing=True)
    reviews.check_not_stale(seen, triage, previous_review, caller, corrections, needs_answer=needs_answer)
    former = BeforeDecision.of(existing, triage, previous_review) if existing is not None and triage else None
    if existing is not None and not seen.given:
        # A colleague who moved the appeal has reviewed no message, so no review records it.
        await require_not_decided_by_another(
            session, caller, existing, Corrections(organisation_id=corrections.organisation_id)
        )
    before = reviews.classification_snapshot(triage) if triage else {}
    prediction, predicted_by = _first_prediction(
        triage, before, await reviews.first_routed_organisation(session, existing)
    )
    seen_organisation_id = (
        (existing.organisation_id or route_of(existing).suggested_organisation_id) if existing else None
    )
    # If the previous decision was "no answer needed", the first prediction is restored.
    restored = (
        previous_review.predicted
        if previous_review and needs_answer and before.get("needs_answer") == "no"
        else None
    )
    base_prediction = restored or before
    if base_prediction:
        predicted = stored_result(base_prediction, routing_context)
    else:
        predicted = await classify_text(thread_context.classifier_input(message))
    result = corrected_result(predicted, corrections, topic, routing_context, needs_answer=needs_answer)
    recorder = AppealRecorder()
    opening = AppealMatcher(session, routing_context, recorder, locked)
    # The rules assign the appeal unless the person names its organisation; else the corrections assign it.
    item = ClassifiedMessage(
        message,
        result,
        caller.actor,
        caller.actor,
        assign_by_rules=corrections.organisation_id is None,
        context=thread_context.message_context(message),
        parent=thread_context.parent_of(message),
    )
    if existing is None:
        await opening.place([item])
    appeal = opening.match(item)
    if appeal is not None and needs_answer:
        state = state or await _AppealState.load(session, appeal, message.id)
        _apply_corrections(state, corrections, result, caller, routing_context=routing_context, recorder=recorder)
    elif state is not None:
        await _close_unneeded(session, state, caller, routing_context, recorder)
    await session.flush()
    assignment_ids = recorder.assignment_ids(existing) if existing is not None else []
    await opening.write()
    # A confirmation covers the organisation that the person saw, if the appeal still has it.
    confirmed_organisation_id = (
        seen_organisation_id if appeal is not None and appeal.organisation_id == seen_organisation_id else None
    )
    review = await reviews.store_review(
        session,
        message.id,
        prediction,
        predicted_by,
        reviews.decided_values(corrections, base_prediction, confirmed_organisation_id, needs_answer=needs_answer),
        groups=routing_context.groups,
        organisation_id=(state.appeal.organisation_id if state else None) or message.organisation_id,
        reviewed_by=caller.actor,
    )
    if existing is not None and former is not None:
        await remember(session, caller, existing, former, assignment_ids)
    stored = await session.get_one(Classification, message.id, populate_existing=True)
    return TriageDecision(
        stored,
        review,
        appeal,
        opened=message.id in opening.opened,
        rerouted=state.rerouted if state else False,
        suggested=state.suggested if state else None,
    )


def _first_prediction(
    triage: Classification | None, before: reviews.ReviewSnapshot, owner: UUID | None
) -> tuple[reviews.ReviewSnapshot, str]:
    """Return the first automatic classification and its classifier; `NO_PREDICTION` where a person was first."""
    if triage is None or not is_automatic(triage.classified_by):
        return {}, reviews.NO_PREDICTION
    return before | {"organisation_id": str(owner) if owner else None}, triage.classified_by


async def _close_unneeded(
    session: WriteSession,
    state: _AppealState,
    caller: Caller,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    """Close the message's appeal as needing no answer, unless another of its messages needs one."""
    appeal = state.appeal
    if state.other_message_needs_answer or appeal.status in {"not_required", "closed", "answered"}:
        recorder.add_timeline_entry(appeal, "triage_decided", caller.actor, needs_answer="no")
    elif (
        appeal.status == "triage"
        and appeal.first_response_at is not None
        and await reply_queries.final_reply_stands(session, appeal)
    ):
        # The unclear message came after a reply: the appeal stays answered.
        appeal.status, appeal.outcome = "answered", await reply_queries.last_outcome(session, appeal)
        clocks.withdraw_awaited_reply(appeal, routing_context.sla, caller.actor)
        recorder.add_timeline_entry(appeal, "triage_decided", caller.actor, needs_answer="no")
    elif not state.work_started:
        transitions.apply_move(appeal, "not_required", caller, routing_context, recorder, reason=MODERATOR_REASON)
    else:
        raise Conflict(
            f"The appeal is «{appeal.status}»: move it to «not_required» if no answer is due",
            appeal_id=str(appeal.id),
        )


def _apply_corrections(
    state: _AppealState,
    corrections: Corrections,
    result: ClassificationResult | None,
    caller: Caller,
    *,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    """Apply the corrections to the appeal, and assign it to the organisation that they, or else the rules,
    name.
    """
    appeal, actor = state.appeal, caller.actor
    before = transitions.classification_fields(appeal)
    changed = _change_classification(appeal, corrections, caller, routing_context, recorder)
    if result is not None:
        appeal.topic_id = appeal.topic_id or routing_context.topic_id(result)
    _confirm_topic(appeal, corrections, routing_context.topic_id(result) if result is not None else None)
    route = routing_context.route_appeal(appeal)
    if corrections.organisation_id is not None and corrections.organisation_id != appeal.organisation_id:
        if appeal.status in {"answered", "closed"}:
            raise Conflict(
                f"The appeal is «{appeal.status}»: only an open appeal can be assigned to another organisation"
            )
        transitions.assign(
            appeal,
            corrections.organisation_id,
            routing_context,
            recorder,
            actor,
            route=manual_route(MODERATOR_REASON),
        )
    elif appeal.status in {"triage", "not_required"}:
        organisation_id = appeal.organisation_id or route.organisation_id
        if organisation_id is not None and (
            appeal.organisation_id is not None or organisation_id not in state.returned_by
        ):
            urgency = "high" if result is not None and result.urgency == "high" else None
            transitions.assign(
                appeal,
                organisation_id,
                routing_context,
                recorder,
                actor,
                route=route.to_snapshot(),
                urgency=urgency,
                assignment_kind="routed",
            )
        else:
            _keep_in_triage(appeal, route, actor, recorder)
    elif changed and route.organisation_id is not None and not (state.work_started or state.assigned_by_person):
        state.rerouted = route.organisation_id != appeal.organisation_id
        if state.rerouted:
            transitions.assign(
                appeal,
                route.organisation_id,
                routing_context,
                recorder,
                actor,
                route=route.to_snapshot(),
                assignment_kind="rerouted",
            )
    if changed and route.organisation_id not in {None, appeal.organisation_id}:
        state.suggested = route
    appeal.updated_at = clock.now()
    transitions.record_reclassified(recorder, appeal, before, actor)
    if appeal.urgency == "high" != before["urgency"]:
        recorder.add_alert("urgent", appeal, MODERATOR_REASON)


def _keep_in_triage(appeal: Appeal, route: Route, actor: str, recorder: AppealRecorder) -> None:
    """Keep the appeal in triage: an answer is due, and no organisation can be named."""
    transitions.keep_in_triage(appeal, route)
    if appeal.status != "triage":
        before = appeal.status
        appeal.status, appeal.closed_at = "triage", None
        payload: dict[str, Any] = {"from": before, "to": appeal.status, "reason": MODERATOR_REASON}
        recorder.add_timeline_entry(appeal, "moved", actor, **payload)
        moved = AppealMoved(
            **event_snapshot(appeal), from_status=before, to_status=appeal.status, reason=MODERATOR_REASON
        )
        recorder.add_event(moved, actor)
        recorder.settle_assignee(appeal)


def _confirm_topic(appeal: Appeal, corrections: Corrections, prediction: UUID | None) -> None:
    """Mark the topic as certain, if the person named it or confirmed the message's."""
    topic_id = corrections.topic_id or (prediction if corrections.confirms_rest else None)
    if topic_id is not None and topic_id == appeal.topic_id:
        certain = PredictedTopic(id=topic_id, confidence=1.0, top3=[])
        appeal.route = route_of(appeal).updated(topic=certain).dump()


def _change_classification(
    appeal: Appeal,
    corrections: Corrections,
    caller: Caller,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> bool:
    """Set topic, location and urgency as the person named them; returns whether anything changed."""
    changed, former = False, (appeal.topic_id, appeal.urgency)
    if corrections.topic_id is not None and appeal.topic_id != corrections.topic_id:
        appeal.topic_id = corrections.topic_id
        recorder.add_timeline_entry(appeal, "topic_changed", caller.actor, topic_id=str(corrections.topic_id))
        changed = True
    before = location_of(appeal)
    if corrections.sets_location and (location := corrections.merged_location(before)) != before:
        for part, value in location.items():
            setattr(appeal, part, value)
        recorder.add_timeline_entry(appeal, "location_changed", caller.actor, location=location)
        changed = True
    if corrections.urgency is not None and appeal.urgency != corrections.urgency:
        appeal.urgency = corrections.urgency
        recorder.add_timeline_entry(appeal, "urgency_changed", caller.actor, urgency=corrections.urgency)
        changed = True
    if (appeal.topic_id, appeal.urgency) != former:
        transitions.follow_classification(appeal, routing_context, caller.actor)
    return changed


async def triage_appeal(
    session: WriteSession, caller: Caller, appeal: Appeal, corrections: Corrections, *, seen: Seen = UNSEEN
) -> None:
    """Set topic, location, urgency and organisation of a locked appeal without messages.

    Raises `Invalid`, `DecidedByAnother`, or `Conflict` where the appeal has messages: then a decision is about one
    of them.
    """
    if appeal.status == "merged":
        raise Conflict("The appeal was merged into another one: decide about that one")
    message_id = await session.scalar(
        select(AppealMessage.message_id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(AppealMessage.created_at)
        .limit(1)
    )
    if message_id is not None:
        raise Conflict(
            "The appeal has messages of a citizen: decide about one of them", message_id=str(message_id)
        )
    await check_corrections(session, corrections, needs_answer=True)
    if not seen.given:
        await require_not_decided_by_another(session, caller, appeal, corrections)
    organisations = {one for one in (appeal.organisation_id, corrections.organisation_id) if one is not None}
    routing_context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder, former = AppealRecorder(), BeforeDecision.of(appeal)
    state = await _AppealState.load(session, appeal, None)
    _apply_corrections(state, corrections, None, caller, routing_context=routing_context, recorder=recorder)
    await session.flush()
    assignment_ids = recorder.assignment_ids(appeal)
    await recorder.write(session)
    await remember(session, caller, appeal, former, assignment_ids)


async def open_from_message(
    session: WriteSession, caller: Caller, message_id: UUID, corrections: Corrections
) -> tuple[Appeal, bool]:
    """Open an appeal from a stored message, or join it to the one of its matter; returns it and whether it is new.

    Raises `Invalid` naming `/message_id`, `Conflict` when the message belongs to an appeal.
    """
    await require_reading(session)
    await reviews.lock_review(session, message_id)
    message = await session.scalar(select_messages().where(Message.id == message_id))
    if message is None:
        raise Invalid.field("/message_id", "No such message")
    if message.from_community:
        raise Invalid.field("/message_id", "A message of the page itself opens no appeal")
    _require_not_erased(message)
    locked = await LockedAppeals.load(session, [message])
    if (present := locked.by_message.get(message.id)) is not None:
        raise Conflict("The message already belongs to an appeal", appeal_id=str(present))
    decided = await _decide(session, caller, message, corrections, needs_answer=True)
    if decided.appeal is None:
        raise Conflict("The appeals of this thread are changing; try again")
    return decided.appeal, decided.opened


async def move_appeal(
    session: WriteSession,
    caller: Caller,
    appeal: Appeal,
    to: str,
    *,
    organisation_id: UUID | None,
    reason: str | None,
    outcome: AppealOutcome | None,
    assignee: AssigneeWish = UNCHANGED,
) -> None:
    """Move a locked appeal by a person, and assign it to one.

    Raises as `transitions.apply_move` and `assignee_changes.apply_wish` do, and `Invalid` for an unknown
    organisation.
    """
    await require_open_organisation(session, organisation_id)
    organisations = {found for found in (organisation_id, appeal.organisation_id) if found}
    if suggested := route_of(appeal).suggested_organisation_id:
        organisations.add(suggested)
    routing_context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    recorder, former = AppealRecorder(), BeforeDecision.of(appeal)
    transitions.apply_move(
        appeal, to, caller, routing_context, recorder, organisation_id=organisation_id, reason=reason,
        outcome=outcome, previous_organisations=await assignments.all_organisations(session, appeal),
    )  # fmt: skip
    if assignee.given:
        await assignee_changes.apply_wish(
            session, appeal, assignee, caller, recorder, former_organisation_id=former.appeal.organisation_id
        )
    elif appeal.status == "in_progress" and appeal.assignee_id is None:
        await assignee_changes.take(session, appeal, caller, recorder)
    await recorder.choose_assignees(session)
    await session.flush()
    assignment_ids = recorder.assignment_ids(appeal)
    await recorder.write(session)
    if to in _UNDOABLE_MOVES:
        await remember(session, caller, appeal, former, assignment_ids)
