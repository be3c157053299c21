"""Effects of a moderator's decision on an appeal: its classification, organisation and status."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignments import assignments
from services.appeals.classification.types import ClassificationResult
from services.appeals.deadline_watch.deadline_changes import due_dates, record_changed_deadline
from services.appeals.feedback.recording import reads_as_unsolved
from services.appeals.lifecycle import classification_changes, moves, transitions
from services.appeals.lifecycle.route_snapshot import PredictedTopic, manual_route, route_of
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.waiting_messages import (
    after_last_reply,
    asked_at,
    await_next_message,
    is_after_last_reply,
    needs_reply,
)
from services.appeals.lifecycle.workflow import find_move, status_after_missed_message
from services.appeals.moderation.corrected_results import MODERATOR_REASON
from services.appeals.moderation.corrections import Corrections, location_of
from services.appeals.replies import reply_queries
from services.appeals.routing.context import RoutingContext
from services.appeals.routing.engine import Route
from services.appeals.routing.triage import keep_in_triage
from services.appeals.sla import clocks
from services.appeals.sla.clock_rows import unfinished
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealMoved
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message


@dataclass
class AppealState:
    """An appeal that a person decides about. `work_started`: it has a reply, or its status is neither `triage` nor
    `assigned`; `assigned_by_person`: a person chose the organisation. `returned_by`: the organisations that
    returned it; they get it again only if a person chooses them explicitly.
    """

    appeal: Appeal
    work_started: bool
    assigned_by_person: bool
    other_message_needs_answer: bool
    returned_by: Collection[UUID] = ()
    rerouted: bool = False
    suggested: Route | None = None

    @staticmethod
    async def load(session: AsyncSession, appeal: Appeal, message_id: UUID | None) -> "AppealState":
        replies = exists().where(Reply.appeal_id == appeal.id)
        # While a message awaits a further reply, messages that a public reply answers do not count. Otherwise all
        # messages count, also after an interim reply.
        awaits_next = appeal.first_response_at is not None and clocks.has_message_to_answer(appeal)
        unanswered = await after_last_reply(session, appeal) if awaits_next else true()
        others = (
            select(AppealMessage.message_id)
            .join(Message, Message.id == AppealMessage.message_id)
            .join(Classification, Classification.message_id == AppealMessage.message_id)
            .where(
                AppealMessage.appeal_id == appeal.id,
                AppealMessage.message_id != message_id,
                needs_reply(),
                unanswered,
            )
            .exists()
        )
        replied, moved, others_need = (
            await session.execute(select(replies, assignments.moved_by_person(appeal.id), others))
        ).one()
        begun = replied or appeal.status not in {"triage", "assigned"}
        return AppealState(appeal, begun, moved, others_need, await assignments.returned_by(session, appeal))


async def close_unneeded(
    session: WriteSession,
    state: AppealState,
    message_id: UUID,
    caller: Caller,
    *,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    """Record that the message needs no answer. Its appeal becomes `not_required`, unless another of its messages
    needs an answer, or the appeal is answered or closed. An appeal that the message reopened awaits the reply to
    the next message that needs one, or becomes answered again. Raises `Conflict` if work on the appeal has begun,
    or the message is recorded as dissatisfaction.
    """
    appeal = state.appeal
    awaits_next = appeal.first_response_at is not None and clocks.has_message_to_answer(appeal)
    if appeal.status in {"not_required", "closed", "answered"}:
        recorder.add_timeline_entry(appeal, "triage_decided", caller.actor, needs_answer="no")
    elif clocks.awaits_reply_to(appeal, message_id):
        await _end_reopening(
            session, appeal, message_id, caller, routing_context=routing_context, recorder=recorder
        )
    elif state.other_message_needs_answer or (awaits_next and appeal.status != "triage"):
        recorder.add_timeline_entry(appeal, "triage_decided", caller.actor, needs_answer="no")
    elif appeal.status == "triage" and await _may_be_answered_again(session, appeal):
        awaited = unfinished(appeal, "next_response")
        await _require_not_unsolved(session, appeal, awaited.message_id if awaited is not None else None)
        await _answer_again(session, appeal, caller, routing_context, recorder)
    elif not state.work_started:
        moves.apply_move(appeal, "not_required", caller, routing_context.sla, recorder, reason=MODERATOR_REASON)
    else:
        raise _must_be_moved(appeal, caller)


async def _end_reopening(
    session: WriteSession,
    appeal: Appeal,
    message_id: UUID,
    caller: Caller,
    *,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    """Let an appeal that awaits a reply to a message which needs none await the next one, or be answered again."""
    await _require_not_unsolved(session, appeal, message_id)
    before = due_dates(appeal)
    sla = routing_context.sla
    if await await_next_message(session, appeal, sla, recorder, caller.actor, former=message_id):
        recorder.add_timeline_entry(appeal, "triage_decided", caller.actor, needs_answer="no")
        record_changed_deadline(recorder, appeal, before, routing_context.sla, caller.actor)
        appeal.updated_at = clock.now()
    elif appeal.status in {"triage", "reopened"} and await _may_be_answered_again(session, appeal):
        await _answer_again(session, appeal, caller, routing_context, recorder)
    else:
        raise _must_be_moved(appeal, caller)


async def _require_not_unsolved(session: WriteSession, appeal: Appeal, awaited: UUID | None) -> None:
    """Raise `Conflict` if the message that the appeal awaits a reply to is recorded as dissatisfaction."""
    if awaited is not None and await reads_as_unsolved(session, appeal, awaited):
        raise Conflict(
            "The message is recorded as feedback that the matter is not solved: correct that feedback first",
            appeal_id=str(appeal.id),
            message_id=str(awaited),
        )


async def _may_be_answered_again(session: WriteSession, appeal: Appeal) -> bool:
    """Return whether the appeal has a public final reply and, unless it is in triage, no reply under way."""
    if appeal.first_response_at is None or not await reply_queries.has_public_final_reply(session, appeal):
        return False
    return appeal.status == "triage" or not await reply_queries.has_reply_under_way(session, appeal)


async def _answer_again(
    session: WriteSession,
    appeal: Appeal,
    caller: Caller,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    recorder.add_timeline_entry(appeal, "triage_decided", caller.actor, needs_answer="no")
    outcome = await reply_queries.last_outcome(session, appeal)
    transitions.answer_again(appeal, outcome, routing_context.sla, recorder, caller.actor, reason=MODERATOR_REASON)
    appeal.updated_at = clock.now()


def _must_be_moved(appeal: Appeal, caller: Caller) -> Conflict:
    to = "not_required" if find_move(appeal.status, "not_required", caller.role) else "closed"
    return Conflict(
        f"The appeal is «{appeal.status}»: move it to «{to}» if no answer is due",
        appeal_id=str(appeal.id),
    )


async def await_answer_to(
    session: WriteSession,
    appeal: Appeal,
    message: Message,
    caller: Caller,
    *,
    confirms: bool,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    """Reopen the answered appeal for a message that no reply answers. Raises `Conflict` if the appeal was closed,
    because a person has to reopen it, unless the decision `confirms` what was known when it was closed.
    """
    if appeal.status != "answered" and (appeal.status != "closed" or confirms):
        return
    if not await is_after_last_reply(session, appeal, message.id):
        return
    if appeal.status == "closed":
        raise Conflict(
            "The appeal is «closed»: reopen it before you decide that the message needs an answer",
            appeal_id=str(appeal.id),
        )
    status = status_after_missed_message(appeal.status)
    transitions.reopen(
        appeal,
        status,
        routing_context.sla,
        recorder,
        caller.actor,
        message=message,
        asked_at=await asked_at(session, message),
        reason=MODERATOR_REASON,
    )


def apply_corrections(
    state: AppealState,
    corrections: Corrections,
    result: ClassificationResult | None,
    caller: Caller,
    *,
    routing_context: RoutingContext,
    recorder: AppealRecorder,
) -> None:
    """Apply the corrections to the appeal, and assign it to the organisation given in them, else by the rules.
    Raises `Conflict` if they give another organisation for an answered or closed appeal.
    """
    appeal, actor = state.appeal, caller.actor
    before = classification_changes.classification_fields(appeal)
    changed = _change_classification(appeal, corrections, caller, routing_context, recorder)
    if result is not None:
        appeal.topic_id = appeal.topic_id or routing_context.topic_id(result)
    _confirm_topic(appeal, corrections, routing_context.topic_id(result) if result is not None else None)
    route = routing_context.route_appeal(appeal)
    if corrections.organisation_id is not None and corrections.organisation_id != appeal.organisation_id:
        if appeal.status in {"answered", "closed"}:
            raise Conflict(
                f"The appeal is «{appeal.status}»: reopen it before you assign it to another organisation"
            )
        transitions.assign(
            appeal,
            corrections.organisation_id,
            routing_context.sla,
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
                routing_context.sla,
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
                routing_context.sla,
                recorder,
                actor,
                route=route.to_snapshot(),
                assignment_kind="rerouted",
            )
    if changed and route.organisation_id not in {None, appeal.organisation_id}:
        state.suggested = route
    appeal.updated_at = clock.now()
    classification_changes.record_reclassified(recorder, appeal, before, actor)
    if appeal.urgency == "high" != before["urgency"]:
        recorder.add_alert("urgent", appeal, MODERATOR_REASON)


def _keep_in_triage(appeal: Appeal, route: Route, actor: str, recorder: AppealRecorder) -> None:
    """Keep the appeal in triage: an answer is due, but no organisation can be determined."""
    keep_in_triage(appeal, route)
    if appeal.status != "triage":
        before = appeal.status
        appeal.status, appeal.closed_at = "triage", None
        payload: dict[str, Any] = {"from": before, "to": appeal.status, "reason": MODERATOR_REASON}
        recorder.add_timeline_entry(appeal, "moved", actor, **payload)
        moved = AppealMoved(
            **event_snapshot(appeal), from_status=before, to_status=appeal.status, reason=MODERATOR_REASON
        )
        recorder.add_event(moved, actor)
        recorder.queue_assignee_choice(appeal)


def _confirm_topic(appeal: Appeal, corrections: Corrections, prediction: UUID | None) -> None:
    """Mark the topic as certain, if the person gave it or confirmed the message's topic."""
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
    """Set topic, location and urgency to the values that the person gave; return whether anything changed."""
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
        classification_changes.follow_classification(appeal, routing_context.sla, caller.actor)
    return changed
