"""Replies of staff that were deleted in the network and restored: they are the answer again."""

from sqlalchemy import select

from services.appeals.actors import NETWORK_ACTOR
from services.appeals.answers.later_messages import reopen_after_staff_reply
from services.appeals.answers.published_replies import record_published_reply
from services.appeals.feedback.recording import reopen_unsolved
from services.appeals.lifecycle.message_queries import WITHOUT_RAW_PAYLOAD
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.promises.promise_lifecycle import apply_reply_to_promises
from services.appeals.routing.context import RoutingContext
from services.appeals.sla.clocks import awaiting_since, awaits_reply
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message


def answers_awaited_message(appeal: Appeal, reply: Reply) -> bool:
    """Return whether a public reply of staff answers the message that awaits a reply, if any does."""
    return reply.published_at is not None and awaits_reply(appeal) and reply.published_at >= awaiting_since(appeal)


async def record_restored_reply(
    session: WriteSession,
    appeal: Appeal,
    reply: Reply,
    context: RoutingContext,
    recorder: AppealRecorder,
    *,
    has_effect: bool,
) -> None:
    """Record that the reply is the answer again, as `record_published_reply` does: clocks stop at the moment of
    its publication, and the timeline entry has the current time, after that of the withdrawal.
    """
    if reply.published_at is None:
        raise ValueError(f"Reply {reply.id} is not published")
    record_published_reply(
        appeal,
        reply,
        reply.published_at,
        context,
        recorder,
        actor=NETWORK_ACTOR,
        has_effect=has_effect,
        recorded_at=clock.now(),
    )
    if not has_effect:
        return
    # What the citizen said about the answer before it was deleted counts again.
    said = await session.scalar(select(FeedbackRound).where(FeedbackRound.reply_id == reply.id))
    appeal.feedback_kind = said.kind if said is not None else None
    await apply_reply_to_promises(session, appeal, reply, recorder)
    if said is not None and said.kind == "not_solved":
        message = None
        if said.message_id is not None:
            message = await session.get(Message, said.message_id, options=[WITHOUT_RAW_PAYLOAD])
        reopen_unsolved(appeal, message, context.sla, recorder, NETWORK_ACTOR)
    await reopen_after_staff_reply(session, appeal, reply, context.sla, recorder)
