"""Replies follow the events of their publications."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle.timeline import Journal
from services.appeals.replies import published_replies
from services.appeals.replies.published_replies import _fail, _locked
from services.appeals.routing.context import Reference
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, Reply
from shared.tables.common import Event
from shared.tables.ingest import Message

PUBLICATION_TYPES = (
    "publication.published",
    "publication.failed",
    "publication.delayed",
    "publication.uncertain",
)


async def follow_publications(session: WriteSession, events: Sequence[Event]) -> None:
    """What ingest tells of our answers, in order; doing it again changes nothing."""
    for event in events:
        found = await _locked(session, UUID(event.data["reply_id"]))
        if found is not None:
            await _follow(session, event, *found)


async def _follow(session: WriteSession, event: Event, appeal: Appeal, reply: Reply) -> None:
    journal = Journal()
    if reply.status == "published":
        return
    reply.publication_id = event.subject_id
    if event.type == "publication.failed":
        if reply.status != "failed" or reply.failure != _told(event, will_retry=False):
            _fail(appeal, reply, _told(event, will_retry=False), journal)
    elif event.type == "publication.published":
        await _publish(session, event, appeal, reply, journal)
    elif reply.status != "failed":
        # A failed reply is under way again when a person says so: another one may have been begun since.
        if event.type == "publication.uncertain":
            reply.status = "uncertain"
            if event.data.get("failure"):
                reply.failure = _told(event, will_retry=True)
        else:
            reply.status, reply.failure = "queued", _told(event, will_retry=True)
    await journal.write(session)


def _told(event: Event, *, will_retry: bool) -> dict[str, Any]:
    failure: dict[str, Any] = event.data.get("failure", {})
    return {
        "code": failure.get("code"),
        "message": failure.get("message"),
        "at": event.occurred_at.isoformat(),
        "will_retry": will_retry,
    }


async def _publish(session: WriteSession, event: Event, appeal: Appeal, reply: Reply, journal: Journal) -> None:
    published_at = datetime.fromisoformat(event.data["published_at"])
    overtaken = reply.status == "failed" and await _overtaken(session, reply)
    reply.status, reply.url, reply.published_at, reply.failure = (
        "published",
        event.data.get("url"),
        published_at,
        None,
    )
    appeal.updated_at = clock.now()
    organisations = {appeal.organisation_id} if appeal.organisation_id else set()
    reference = await Reference.load(session, {appeal.page_id} if appeal.page_id else set(), organisations)
    # Should our own words have been taken for handwriting before ingest knew them, they count once: as ours.
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
        journal.note(appeal, "reply_recognised", reply_id=str(reply.id))
        return
    published_replies.record(
        appeal, reply, published_at, reference, journal, actor=reply.author, overtaken=overtaken
    )


async def _overtaken(session: AsyncSession, reply: Reply) -> bool:
    """Whether a later reply was published while this one counted as failed."""
    later = exists().where(
        Reply.appeal_id == reply.appeal_id, Reply.status == "published", Reply.created_at > reply.created_at
    )
    return bool(await session.scalar(select(later)))
