"""Effects of a withdrawn reply on its appeal: clocks, promises, feedback, status."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from services.appeals.answers.restored_replies import answers_awaited_message, record_restored_reply
from services.appeals.feedback import recording
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.workflow import status_after_withdrawal, status_with_final_reply
from services.appeals.promises.promise_lifecycle import reopen_promises
from services.appeals.replies.reply_queries import last_outcome
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared.contracts.appeal_events import AppealMoved, AppealReopened
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply, ReplyChange


async def take_answer_back(
    session: WriteSession, appeal: Appeal, reply: Reply, withdrawal: ReplyChange, recorder: AppealRecorder
) -> None:
    """Make the locked appeal await an answer again, with the clocks that the withdrawn reply had stopped. If a
    later reply is public, the citizen has an answer: only the time of the final answer and the feedback round
    change. Nothing changes if the appeal was merged or needs no answer. Withdrawals of earlier replies, made while
    this one was public, take effect now too, and so does an earlier reply of staff that was restored meanwhile.
    """
    published_at, actor, reason = reply.published_at, withdrawal.requested_by, withdrawal.reason
    if published_at is None:
        raise ValueError(f"Reply {reply.id} is not published")
    if appeal.status in {"merged", "not_required"}:
        return
    await _forget_final_answer(session, appeal, reply)
    last_public = await session.scalar(
        select(Reply)
        .where(Reply.appeal_id == appeal.id, Reply.status == "published", Reply.id != reply.id)
        .order_by(Reply.published_at.desc(), Reply.id.desc())
        .limit(1)
    )
    if (
        last_public is not None
        and last_public.published_at is not None
        and last_public.published_at > published_at
    ):
        return
    organisations = {appeal.organisation_id} if appeal.organisation_id else set()
    context = await RoutingContext.load(session, {appeal.page_id} if appeal.page_id else set(), organisations)
    # A person's decision to reopen stays, although its clock goes with the withdrawn reply.
    by_person = clocks.awaits_reply_to(appeal, None)
    awaited = False
    for answered_at in await _taken_back_at(session, appeal, reply, last_public):
        clocks.cancel_later_clocks(appeal, answered_at, context.sla, actor)
        await session.flush()
        awaited = clocks.continue_clocks(appeal, answered_at, context.sla, actor, reason) or awaited
        await reopen_promises(session, appeal, answered_at)
    has_public_interim = not awaited and last_public is not None and last_public.kind == "interim"
    clocks.set_promise(
        appeal, last_public.promised_at if last_public and has_public_interim else None, context.sla
    )
    if last_public is not None and not awaited and not has_public_interim:
        await recording.await_feedback_again(session, appeal)
        await _return_to_final_reply(session, appeal, reply, withdrawal, recorder)
        return
    before = appeal.status
    appeal.status = status_after_withdrawal(before, has_public_interim=has_public_interim)
    if appeal.status != before:
        appeal.closed_at = appeal.outcome = None
        deadline = clocks.awaited_response_text(appeal, context.sla)
        recorder.add_timeline_entry(
            appeal,
            "reopened",
            actor,
            status=appeal.status,
            reason=reason,
            deadline=deadline,
            reply_id=str(reply.id),
        )
        recorder.add_event(AppealReopened(**event_snapshot(appeal), reason=reason), actor)
        recorder.queue_assignee_choice(appeal)
    # A reply of staff that was restored while the withdrawn reply was public takes effect only now.
    is_restored = awaited and not by_person and last_public is not None and last_public.origin == "network"
    if last_public is not None and is_restored and answers_awaited_message(appeal, last_public):
        await record_restored_reply(session, appeal, last_public, context, recorder, has_effect=True)


async def _taken_back_at(
    session: WriteSession, appeal: Appeal, reply: Reply, last_public: Reply | None
) -> Sequence[datetime]:
    """Return the publication times of withdrawn replies after the last public one (`last_public`), latest first.
    Their effects on the clocks have remained while a later reply was public.
    """
    query = (
        select(Reply.published_at)
        .distinct()
        .where(
            Reply.appeal_id == appeal.id,
            or_(Reply.id == reply.id, Reply.status == "withdrawn"),
            Reply.published_at.is_not(None),
        )
    )
    if last_public is not None:
        query = query.where(Reply.published_at > last_public.published_at)
    moments = await session.scalars(query.order_by(Reply.published_at.desc()))
    return [moment for moment in moments if moment is not None]


async def _return_to_final_reply(
    session: WriteSession, appeal: Appeal, reply: Reply, withdrawal: ReplyChange, recorder: AppealRecorder
) -> None:
    """Make the appeal answered again if it awaited only the promise of the withdrawn interim reply."""
    before = appeal.status
    appeal.status = status_with_final_reply(before)
    if appeal.status == before:
        return
    appeal.outcome = await last_outcome(session, appeal)
    actor, reason = withdrawal.requested_by, withdrawal.reason
    payload: dict[str, Any] = {"from": before, "to": appeal.status, "reason": reason}
    recorder.add_timeline_entry(appeal, "moved", actor, reply_id=str(reply.id), **payload)
    moved = AppealMoved(**event_snapshot(appeal), from_status=before, to_status=appeal.status, reason=reason)
    recorder.add_event(moved, actor)
    recorder.queue_assignee_choice(appeal)


async def _forget_final_answer(session: WriteSession, appeal: Appeal, reply: Reply) -> None:
    if reply.kind != "final":
        return
    appeal.final_answer_at = await session.scalar(
        select(func.min(Reply.published_at)).where(
            Reply.appeal_id == appeal.id, Reply.kind == "final", Reply.status == "published", Reply.id != reply.id
        )
    )
    await recording.end_withdrawn_round(session, appeal, reply.id)
