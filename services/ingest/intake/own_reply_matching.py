"""Match messages of the community with our own publications.

A message is ours if a publication has its external id, or if a publication that was sent but not confirmed has the
same text and target and was first sent before the message. "Before" is decided by the network's own order and by
the messages stored at the first send, never by our clock. Publishing and intake take the same advisory lock per
thread.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm.attributes import set_committed_value

from services.ingest.intake.notice_messages import organisation_of_publication_events
from services.ingest.networks.catalogue import NETWORKS
from services.ingest.networks.sanitize import same_text
from shared.contracts.ingest_events import PublicationPublished
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent
from shared.logs import get_logger
from shared.tables.ingest import Message, Publication

log = get_logger(__name__)

ACTOR = "ingest"
# How many of a thread's latest messages are read.
RECENT_ITEMS = 500
IN_FLIGHT_STATUSES = ("sending", "uncertain")


@dataclass(frozen=True)
class CommunityMessage:
    """A stored message written by the community."""

    message_id: UUID
    kind: str
    external_id: str
    thread_key: str
    reply_to: str | None
    text: str
    url: str
    written_at: datetime


def _lock_id(thread_key: str) -> int:
    digest = hashlib.sha256(b"thread\n" + thread_key.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


async def lock_threads(session: WriteSession, thread_keys: Iterable[str]) -> None:
    """Take exclusive advisory locks on these threads until the transaction ends, in a fixed order."""
    for lock in sorted({_lock_id(key) for key in thread_keys}):
        await session.execute(select(func.pg_advisory_xact_lock(lock)))


async def thread_baseline(session: WriteSession, publication: Publication) -> dict[str, Any]:
    """Return the thread's position before a first send: its baseline position and external ids.

    The stored thread may lag behind the network, so a message that staff have just written there counts as later
    and may be matched by mistake. It has the same text and recipient, so the citizen is answered anyway. The
    thread must be locked.
    """
    entry = NETWORKS[publication.network]
    rows = await session.execute(
        select(Message.external_id, Message.written_at, Message.from_community)
        .where(Message.thread_key == publication.thread_key, Message.kind == publication.kind)
        .order_by(Message.written_at.desc())
        .limit(RECENT_ITEMS)
    )
    found = [(entry.thread_position(row.external_id, row.written_at), row) for row in rows]
    if not found:
        return {"baseline_position": None, "baseline_external_ids": []}
    after = max(position for position, _ in found) - entry.position_tolerance
    ours = [row.external_id for position, row in found if row.from_community and position >= after]
    return {"baseline_position": after, "baseline_external_ids": ours}


async def match_own_replies(
    session: WriteSession, network: str, messages: Sequence[CommunityMessage], events: list[NewEvent]
) -> dict[UUID, UUID]:
    """Match community messages with our publications; return publication ids by message id.

    A matched publication that is not marked as published becomes published. If its reply is complete, the event of
    the reply is appended to `events`.
    The threads must be locked.
    """
    if not messages:
        return {}
    candidates = list(
        await session.scalars(
            select(Publication)
            .where(
                Publication.network == network,
                or_(
                    Publication.external_id.in_([one.external_id for one in messages]),
                    Publication.thread_key.in_({one.thread_key for one in messages})
                    & Publication.sending_since.is_not(None)
                    & Publication.external_id.is_(None),
                ),
            )
            .order_by(Publication.id)
            .with_for_update()
        )
    )
    # Publications in flight come before all others, then earlier replies and parts before later ones.
    candidates.sort(key=lambda one: (one.status not in IN_FLIGHT_STATUSES, one.created_at, one.reply_id, one.part))
    position = NETWORKS[network].thread_position
    ours: dict[UUID, UUID] = {}
    for one in sorted(messages, key=lambda item: (position(item.external_id, item.written_at), item.external_id)):
        found = next((each for each in candidates if _has_same_id(each, one)), None)
        found = found or next((each for each in candidates if _has_same_text_and_thread(each, one)), None)
        if found is None:
            continue
        ours[one.message_id] = found.id
        if found.status != "published":
            events += await mark_published(
                session, found, one.external_id, one.url, published_at=one.written_at, matched=True, text=one.text
            )
    for message_id, publication_id in ours.items():
        await session.execute(
            update(Message).where(Message.id == message_id).values(publication_id=publication_id)
        )
    return ours


async def match_stored_messages(session: WriteSession, publication: Publication) -> list[NewEvent]:
    """Match the thread's stored community messages that have no publication; return the events to emit.

    Such a message arrived before its publication became uncertain, or the publication was first matched with
    another message by mistake.
    """
    rows = await session.scalars(
        select(Message)
        .where(
            Message.network == publication.network,
            Message.kind == publication.kind,
            Message.thread_key == publication.thread_key,
            Message.from_community,
            Message.publication_id.is_(None),
            Message.deleted_at.is_(None),
        )
        .order_by(Message.written_at.desc())
        .limit(RECENT_ITEMS)
    )
    messages = [
        CommunityMessage(
            row.id, row.kind, row.external_id, row.thread_key, row.reply_to, row.text, row.url, row.written_at
        )
        for row in rows
    ]
    events: list[NewEvent] = []
    await match_own_replies(session, publication.network, messages, events)
    return events


def _has_same_id(publication: Publication, one: CommunityMessage) -> bool:
    return publication.kind == one.kind and publication.external_id == one.external_id


def _has_same_text_and_thread(publication: Publication, one: CommunityMessage) -> bool:
    """Return whether an unconfirmed publication matches the message by thread, recipient, text and position."""
    if publication.erased_at is not None or publication.external_id is not None or publication.kind != one.kind:
        return False
    entry = NETWORKS[publication.network]
    lacks_reply_to = one.reply_to is None and not entry.reports_reply_to(publication.thread_key)
    sent = (publication.text, *publication.previous_texts)
    return (
        publication.thread_key == one.thread_key
        and (lacks_reply_to or publication.reply_to == one.reply_to)
        and any(same_text(text, one.text) for text in sent)
        and one.external_id not in publication.baseline_external_ids
        and (
            publication.baseline_position is None
            or entry.thread_position(one.external_id, one.written_at) >= publication.baseline_position
        )
    )


async def mark_published(
    session: WriteSession,
    publication: Publication,
    external_id: str,
    url: str,
    *,
    published_at: datetime,
    matched: bool,
    text: str | None = None,
) -> list[NewEvent]:
    """Mark a publication as published; return the event of the reply if this was its last unpublished part.

    `text`: the text found in the network; it is an earlier one if the reply was corrected after a call succeeded.
    """
    changes = {
        "text": publication.text if text is None or same_text(text, publication.text) else text,
        "status": "published",
        "external_id": external_id,
        "url": url,
        "published_at": published_at,
        "failure": None,
        "version": publication.version + 1,
    }
    changed = update(Publication).where(Publication.id == publication.id)
    await session.execute(changed.values(**changes, updated_at=func.clock_timestamp()))
    for name, value in changes.items():
        set_committed_value(publication, name, value)
    log.info("published", publication_id=str(publication.id), matched=matched)
    parts = [publication]
    if publication.parts > 1:
        parts = list(
            await session.scalars(
                select(Publication)
                .where(Publication.reply_id == publication.reply_id)
                .order_by(Publication.part)
                .execution_options(populate_existing=True)
            )
        )
    if any(part.status != "published" for part in parts):
        return []
    return [
        NewEvent(
            data=PublicationPublished(
                reply_id=publication.reply_id,
                external_ids=[part.external_id for part in parts],
                url=parts[0].url,
                published_at=max(part.published_at or published_at for part in parts),
                matched=matched,
            ),
            subject_id=parts[0].id,
            organisation_id=organisation_of_publication_events(publication),
            actor=ACTOR,
        )
    ]
