"""Recognising our own answers when they come back from the network.

The community's words in a thread are ours when a publication has that external id, or when one that is being sent
there (or whose call was lost) has the same text and target. Publishing and intake meet under one lock per thread.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm.attributes import set_committed_value

from services.ingest.intake.texts import same_words
from shared import clock
from shared.database import WriteSession
from shared.events import NewEvent
from shared.logs import logger
from shared.tables.ingest import Message, Publication

log = logger(__name__)

ACTOR = "ingest"
# The network's clock and ours need not agree to the second.
SKEW = timedelta(minutes=2)


@dataclass(frozen=True)
class Spoken:
    """Words of the community that have just been stored."""

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
    """Be alone with these threads until the transaction ends; several are taken in one order by everyone."""
    for lock in sorted({_lock_id(key) for key in thread_keys}):
        await session.execute(select(func.pg_advisory_xact_lock(lock)))


async def adopt(
    session: WriteSession, network: str, spoken: Sequence[Spoken], events: list[NewEvent]
) -> dict[UUID, UUID]:
    """Find which of the community's words are publications of ours: message id → publication id.

    A publication in doubt becomes published; its event is appended. The threads must be locked.
    """
    if not spoken:
        return {}
    candidates = list(
        await session.scalars(
            select(Publication)
            .where(
                Publication.network == network,
                or_(
                    Publication.external_id.in_([one.external_id for one in spoken]),
                    Publication.thread_key.in_({one.thread_key for one in spoken})
                    & Publication.status.in_(("sending", "uncertain")),
                ),
            )
            .order_by(Publication.id)
            .with_for_update()
        )
    )
    ours: dict[UUID, UUID] = {}
    for one in sorted(spoken, key=lambda item: (item.written_at, item.external_id)):
        found = next((publication for publication in candidates if _is(publication, one)), None)
        if found is None:
            continue
        ours[one.message_id] = found.id
        if found.status != "published":
            events += await mark_published(
                session, found, one.external_id, one.url, published_at=one.written_at, adopted=True
            )
    for message_id, publication_id in ours.items():
        await session.execute(
            update(Message).where(Message.id == message_id).values(publication_id=publication_id)
        )
    return ours


def _is(publication: Publication, one: Spoken) -> bool:
    if publication.kind != one.kind:
        return False
    if publication.external_id is not None:
        return publication.external_id == one.external_id
    return (
        publication.status in ("sending", "uncertain")
        and publication.thread_key == one.thread_key
        and publication.target == one.reply_to
        and same_words(publication.text, one.text)
        and one.written_at >= publication.created_at - SKEW
    )


async def mark_published(
    session: WriteSession,
    publication: Publication,
    external_id: str,
    url: str,
    *,
    published_at: datetime,
    adopted: bool,
) -> list[NewEvent]:
    """The publication stands in the network; answers the event to emit once all parts of its answer do."""
    changes = {
        "status": "published",
        "external_id": external_id,
        "url": url,
        "published_at": published_at,
        "failure": None,
        "version": publication.version + 1,
        "updated_at": clock.now(),
    }
    await session.execute(update(Publication).where(Publication.id == publication.id).values(**changes))
    for name, value in changes.items():
        set_committed_value(publication, name, value)
    log.info("published", publication_id=str(publication.id), adopted=adopted)
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
            type="publication.published",
            subject_id=parts[0].id,
            organisation_id=publication.organisation_id,
            actor=ACTOR,
            data={
                "reply_id": str(publication.reply_id),
                "external_id": parts[0].external_id,
                "external_ids": [part.external_id for part in parts],
                "url": parts[0].url,
                "published_at": max(part.published_at or published_at for part in parts).isoformat(),
                "adopted": adopted,
            },
        )
    ]
