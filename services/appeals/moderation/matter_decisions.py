"""Decisions of moderators about a message that may be about another matter than its appeal."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import func, or_, select

from services.appeals.deadline_watch.deadline_changes import due_dates, record_changed_deadline
from services.appeals.feedback.recording import forget_word
from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.inbound.locked_appeals import LockedAppeals, thread_author
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.lifecycle.message_queries import select_messages
from services.appeals.lifecycle.other_matters import withdraw_suggestion
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.transitions import answer_again, record_first_assignment
from services.appeals.lifecycle.waiting_messages import await_next_message
from services.appeals.moderation import reviews
from services.appeals.moderation.corrected_results import MODERATOR_REASON, stored_result
from services.appeals.replies import reply_queries
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared import clock
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealMessageSplitOff, AppealOpened
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid
from shared.reply_lock import lock_replies
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification, Review
from shared.tables.appeals_replies import VOID_REPLY_STATUSES, Reply
from shared.tables.ingest import Message


async def keep(session: WriteSession, caller: Caller, appeal: Appeal, message_id: UUID) -> None:
    """Decide that a message of the locked appeal is about the appeal's matter. Raises `Conflict` if no other
    matter was suggested.
    """
    if not withdraw_suggestion(appeal, message_id):
        raise Conflict("No other matter is suggested for this message: a colleague may have decided meanwhile")
    appeal.updated_at = clock.now()
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "other_matter_kept", caller.actor, message_id=str(message_id))
    await recorder.write(session)


async def split_off(
    session: WriteSession, actor: str, appeal: Appeal, message_id: UUID, *, reason: str | None = None
) -> Appeal:
    """Move a message of the locked appeal to a new appeal, which the rules route; return the new appeal. Its clock
    counts from this message. An appeal that only this message reopened becomes answered again, and the message's
    feedback on an answer no longer counts. Raises `Invalid` naming `/message_id`, and `Conflict` for an erased
    message, the only message of the appeal, the one that opened it, or one that has a reply which is published or
    may still be.
    """
    message = await _message_of(session, appeal, message_id)
    if message.erased_at is not None:
        raise Conflict("The personal data of the author was erased, so no reply can be sent")
    await _require_splittable(session, appeal, message)
    locked = await LockedAppeals.load(session, [message])
    routing_context = await RoutingContext.load(session, {message.page_id}, locked.organisation_ids())
    classification = await session.get_one(Classification, message.id)
    result = stored_result(reviews.classification_snapshot(classification), routing_context)
    recorder = AppealRecorder()
    matcher = AppealMatcher(session, routing_context, recorder, locked)
    # Splitting a message off implies that it needs its own answer.
    item = ClassifiedMessage(message, replace(result, needs_answer="yes"), classification.classified_by, actor)
    new = await matcher.open_apart(item, thread_author(message))
    link = await session.get_one(AppealMessage, message.id)
    link.appeal_id, link.merged_at = new.id, None
    if (review := await session.get(Review, message.id)) is not None:
        review.organisation_id = new.organisation_id or message.organisation_id
    withdraw_suggestion(appeal, message.id)
    await _withdraw_reopening(
        session, appeal, message, routing_context=routing_context, actor=actor, recorder=recorder
    )
    await forget_word(session, appeal, message.id, recorder, actor=actor)
    appeal.updated_at = clock.now()
    recorder.add_timeline_entry(
        appeal,
        "split_off",
        actor,
        message_id=str(message.id),
        appeal_id=str(new.id),
        number=new.number,
        reason=reason,
    )
    recorder.add_event(
        AppealMessageSplitOff(**event_snapshot(appeal), message_id=message.id, new_appeal_id=new.id), actor
    )
    recorder.add_timeline_entry(
        new,
        "opened",
        actor,
        message_id=str(message.id),
        why=result.why,
        status=new.status,
        split_from=str(appeal.id),
        number=appeal.number,
    )
    recorder.add_event(AppealOpened(**event_snapshot(new), message_id=message.id), actor)
    if new.urgency == "high":
        recorder.add_alert("urgent", new, result.why)
    if new.status == "assigned":
        record_first_assignment(recorder, new, routing_context.sla, actor)
    await recorder.write(session)
    return new


async def _message_of(session: WriteSession, appeal: Appeal, message_id: UUID) -> Message:
    message: Message | None = await session.scalar(
        select_messages()
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .where(AppealMessage.appeal_id == appeal.id, Message.id == message_id)
    )
    if message is None:
        raise Invalid.field("/message_id", "No such message in this appeal")
    return message


async def _require_splittable(session: WriteSession, appeal: Appeal, message: Message) -> None:
    """Raise `Conflict` if the message opened the appeal, is its only message, or has a reply."""
    others = await session.scalar(
        select(func.count())
        .select_from(AppealMessage)
        .where(AppealMessage.appeal_id == appeal.id, AppealMessage.message_id != message.id)
    )
    began = message.written_at == appeal.written_at and message.url == appeal.url
    if not others:
        raise Conflict("This is the only message of the appeal, so nothing would remain in it")
    if began:
        raise Conflict("This message opened the appeal: split off the other messages instead")
    await lock_replies(session, appeal.id)
    replied = await session.scalar(
        select(Reply.id).where(
            Reply.appeal_id == appeal.id,
            Reply.in_reply_to == message.id,
            or_(Reply.status.not_in(VOID_REPLY_STATUSES), reply_queries.is_resumed()),
        )
    )
    if replied is not None:
        raise Conflict("The message has a reply, so it cannot be split off", reply_id=str(replied))


async def _withdraw_reopening(
    session: WriteSession,
    appeal: Appeal,
    message: Message,
    *,
    routing_context: RoutingContext,
    actor: str,
    recorder: AppealRecorder,
) -> None:
    """If the appeal awaits a reply to this message, make it await a reply to the next message that needs one.
    Without such a message the appeal becomes answered again, unless somebody has started to work on it or it has
    no public final reply.
    """
    if not clocks.awaits_reply_to(appeal, message.id):
        return
    before = due_dates(appeal)
    if await await_next_message(session, appeal, routing_context.sla, recorder, actor, former=message.id):
        record_changed_deadline(recorder, appeal, before, routing_context.sla, actor)
        return
    if appeal.status not in {"reopened", "triage"}:
        return
    if not await reply_queries.has_public_final_reply(session, appeal):
        return
    outcome = await reply_queries.last_outcome(session, appeal)
    answer_again(appeal, outcome, routing_context.sla, recorder, actor, reason=MODERATOR_REASON)
