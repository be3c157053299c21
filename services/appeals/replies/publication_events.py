"""Handling of publication events: replies take over the status of their publications."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.replies import later_messages, published_replies
from services.appeals.replies.published_replies import fail_reply, lock_with_appeal
from services.appeals.routing.context import RoutingContext
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, Reply
from shared.tables.common import Event
from shared.tables.ingest import Message

PUBLICATION_EVENT_TYPES = (
    "publication.published",
    "publication.failed",
    "publication.delayed",
    "publication.uncertain",
)


async def handle_publication_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Apply publication events to replies, in order. Idempotent."""
    for event in events:
        locked = await lock_with_appeal(session, UUID(event.data["reply_id"]))
        if locked is not None:
            await _apply_event(session, event, *locked)


async def _apply_event(session: WriteSession, event: Event, appeal: Appeal, reply: Reply) -> None:
    recorder = AppealRecorder()
    if reply.status == "published":
        return
    reply.publication_id = event.subject_id
    if event.type == "publication.failed":
        if reply.status != "failed" or reply.failure != _failure_of(event, will_retry=False):
            fail_reply(appeal, reply, _failure_of(event, will_retry=False), recorder)
    elif event.type == "publication.published":
        await _publish(session, event, appeal, reply, recorder)
    elif reply.status != "failed":
        # Only a person resumes a failed reply: another reply may be under way by now.
        if event.type == "publication.uncertain":
            reply.status = "uncertain"
            if event.data.get("failure"):
                reply.failure = _failure_of(event, will_retry=True)
        else:
            reply.status, reply.failure = "queued", _failure_of(event, will_retry=True)
    await recorder.write(session)


def _failure_of(event: Event, *, will_retry: bool) -> dict[str, Any]:
    failure: dict[str, Any] = event.data.get("failure", {})
    return {
        "code": failure.get("code"),
        "message": failure.get("message"),
        "at": event.occurred_at.isoformat(),
        "will_retry": will_retry,
    }


async def _publish(
    session: WriteSession, event: Event, appeal: Appeal, reply: Reply, recorder: AppealRecorder
) -> None:
    published_at = datetime.fromisoformat(event.data["published_at"])
    overtaken = reply.status == "failed" and await _is_superseded(session, reply)
    reply.status, reply.url, reply.published_at, reply.failure = (
        "published",
        event.data.get("url"),
        published_at,
        None,
    )
    appeal.updated_at = clock.now()
    organisations = {appeal.organisation_id} if appeal.organisation_id else set()
    routing_context = await RoutingContext.load(
        session, {appeal.page_id} if appeal.page_id else set(), organisations
    )
    # If our own message was attached as a staff reply before ingest knew it was ours, it counts once: as ours.
    external_ids = event.data.get("external_ids") or [event.data.get("external_id")]
    taken_twice = list(
        await session.scalars(
            select(Reply.id)
            .join(Message, Message.id == Reply.message_id)
            .where(
                Reply.appeal_id == appeal.id,
                Reply.origin == "network",
                Message.external_id.in_(external_ids),
                Message.network == appeal.network,
            )
        )
    )
    if taken_twice:
        appeal.reply_failed = None
        await session.execute(delete(Reply).where(Reply.id.in_(taken_twice)))
        recorder.add_timeline_entry(appeal, "reply_recognised", reply_id=str(reply.id))
        return
    published_replies.record_published_reply(
        appeal, reply, published_at, routing_context, recorder, actor=reply.author, superseded=overtaken
    )
    await later_messages.reopen_after_own_reply(session, appeal, reply, routing_context, recorder)


async def _is_superseded(session: AsyncSession, reply: Reply) -> bool:
    """Return whether a later reply was published while this one counted as failed."""
    later = exists().where(
        Reply.appeal_id == reply.appeal_id, Reply.status == "published", Reply.created_at > reply.created_at
    )
    return bool(await session.scalar(select(later)))
