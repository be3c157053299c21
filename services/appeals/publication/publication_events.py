"""Handling of publication events: replies get the status of their publications."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.answers import later_messages, published_replies
from services.appeals.answers.published_replies import fail_reply, lock_with_appeal
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.promises.promise_lifecycle import apply_reply_to_promises
from services.appeals.publication import change_results
from services.appeals.publication.public_text import take_over_published_text
from services.appeals.routing.context import RoutingContext
from shared import clock
from shared.contracts.ingest_events import (
    PublicationChangeFailed,
    PublicationChangeResult,
    PublicationEdited,
    PublicationFailed,
    PublicationFailure,
    PublicationProblem,
    PublicationPublished,
    PublicationRetryScheduled,
    PublicationUncertain,
    PublicationWithdrawn,
)
from shared.contracts.stored_events import parse_event
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply, ReplyChange, ReplyVersion
from shared.tables.common import Event
from shared.tables.ingest import Message

PUBLICATION_EVENT_TYPES = (
    PublicationPublished.event_type,
    PublicationFailed.event_type,
    PublicationRetryScheduled.event_type,
    PublicationUncertain.event_type,
    PublicationEdited.event_type,
    PublicationWithdrawn.event_type,
    PublicationChangeFailed.event_type,
)


async def handle_publication_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Apply publication events to replies, in order. Idempotent."""
    for event in events:
        data = parse_event(event)
        if isinstance(data, PublicationChangeResult):
            await change_results.apply_result(session, event, data)
            continue
        if not isinstance(data, PublicationPublished | PublicationProblem):
            raise TypeError(f"«{event.type}» is not an event of a publication")
        locked = await lock_with_appeal(session, data.reply_id)
        if locked is not None:
            await _apply_event(session, event, data, *locked)


async def _apply_event(
    session: WriteSession,
    event: Event,
    data: PublicationPublished | PublicationProblem,
    appeal: Appeal,
    reply: Reply,
) -> None:
    recorder = AppealRecorder()
    if reply.status in {"published", "withdrawn"}:
        return
    reply.publication_id = event.subject_id
    if isinstance(data, PublicationPublished):
        await _publish(session, data, appeal, reply, recorder)
    elif isinstance(data, PublicationFailed):
        failure = _failure(data.failure, event.occurred_at, will_retry=False)
        if reply.status != "failed" or reply.failure != failure:
            fail_reply(appeal, reply, failure, recorder)
    elif reply.status != "failed":
        # A failed reply may be resumed only by a person, because another reply may be under way by now.
        reply.status = "uncertain" if isinstance(data, PublicationUncertain) else "queued"
        reply.failure = _failure(data.failure, event.occurred_at, will_retry=True)
    await recorder.write(session)


def _failure(failure: PublicationFailure, at: datetime, *, will_retry: bool) -> dict[str, Any]:
    return {"code": failure.code, "message": failure.message, "at": at.isoformat(), "will_retry": will_retry}


async def _publish(
    session: WriteSession, data: PublicationPublished, appeal: Appeal, reply: Reply, recorder: AppealRecorder
) -> None:
    # If our own message was attached as a staff reply before ingest recognised it, it must not count twice.
    taken_twice = (
        await session.execute(
            select(Reply.id, Reply.published_at, Reply.status)
            .join(Message, Message.id == Reply.message_id)
            .where(
                Reply.appeal_id == appeal.id,
                Reply.origin == "network",
                Message.external_id.in_(data.external_ids),
                Message.network == appeal.network,
            )
        )
    ).all()
    twice = [row.id for row in taken_twice]
    overtaken = await _is_superseded(session, reply, data.published_at, besides=twice)
    reply.status, reply.published_at, reply.failure = "published", data.published_at, None
    # The address of a conversation names the person. An erasure removed it from the appeal during the publication.
    reply.url = None if appeal.erased_at is not None and appeal.url is None else data.url
    appeal.updated_at = clock.now()
    unpublished = await take_over_published_text(session, appeal, reply)
    organisations = {appeal.organisation_id} if appeal.organisation_id else set()
    routing_context = await RoutingContext.load(
        session, {appeal.page_id} if appeal.page_id else set(), organisations
    )
    if taken_twice:
        await _remove_attached(session, reply, twice)
    counted = [row.published_at for row in taken_twice if row.status == "published"]
    if counted:
        appeal.reply_failed = None
        # Clocks and promises end at the moment when the first part was published; a withdrawal finds them by this
        # moment.
        reply.published_at = min(counted)
        if appeal.status == "answered":
            appeal.outcome = reply.outcome
    else:
        published_replies.record_published_reply(
            appeal, reply, data.published_at, routing_context, recorder, actor=reply.author,
            has_effect=not overtaken and not await later_messages.awaits_later_answer(session, appeal, reply),
        )  # fmt: skip
    if taken_twice or unpublished is not None:
        recorder.add_timeline_entry(appeal, "reply_recognised", reply_id=str(reply.id), unpublished=unpublished)
    if not overtaken:
        await apply_reply_to_promises(session, appeal, reply, recorder)
        await later_messages.reopen_after_own_reply(session, appeal, reply, routing_context.sla, recorder)


async def _remove_attached(session: WriteSession, reply: Reply, twice: Sequence[UUID]) -> None:
    """Delete the attached staff replies that are in fact this reply; their feedback becomes feedback on it. Their
    changes by hand in the network are deleted too, because they change no reply of ours; the messages keep the
    former texts.
    """
    rounds = await session.scalars(select(FeedbackRound).where(FeedbackRound.reply_id.in_(twice)))
    for feedback_round in rounds:
        feedback_round.reply_id = reply.id
    await session.flush()
    await session.execute(delete(ReplyChange).where(ReplyChange.reply_id.in_(twice)))
    await session.execute(delete(ReplyVersion).where(ReplyVersion.reply_id.in_(twice)))
    await session.execute(delete(Reply).where(Reply.id.in_(twice)))


async def _is_superseded(
    session: AsyncSession, reply: Reply, published_at: datetime, *, besides: Sequence[UUID]
) -> bool:
    """Return whether another reply was published after this one, or while this one counted as failed. `besides`:
    rows that stand for this same reply, which do not count.
    """
    is_later = Reply.published_at > published_at
    if reply.status == "failed":
        is_later = or_(is_later, Reply.created_at > reply.created_at)
    later = exists().where(
        Reply.appeal_id == reply.appeal_id,
        Reply.id.not_in([reply.id, *besides]),
        Reply.status == "published",
        is_later,
    )
    return bool(await session.scalar(select(later)))
