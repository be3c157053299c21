"""Erase the publications of replies to a person, except those being published: their texts are still needed."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, union, update

from services.ingest.erasure.message_rows import Counts, erase_direct_message
from services.ingest.erasure.subject import Subject
from services.ingest.intake.own_reply_matching import lock_threads
from services.ingest.pseudonymisation.erased_digests import erased_external_id
from services.ingest.publishing.publisher import UNFINISHED_STATUSES, fail_unfinished
from shared import clock
from shared.contracts.erasures import AUTHOR_ERASED
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Publication, PublicationChange

_WORDS: Mapping[str, Any] = {
    "text": "", "previous_texts": [], "attachments": [], "uploaded_media": None, "baseline_external_ids": [],
}  # fmt: skip


async def erase_publications(
    session: WriteSession, subject: Subject, appeal_ids: Sequence[UUID]
) -> tuple[Counts, int]:
    """Erase the publications of replies to the person; return counts, and how many are still being published.

    A queued publication is marked as failed: nothing more may be sent to the person.
    """
    of_appeals = select(Reply.id).where(is_one_of(Reply.appeal_id, appeal_ids))
    # A union, not OR: each part is read by its index.
    of_person = union(
        select(Publication.id).where(Publication.reply_id.in_(of_appeals)),
        select(Publication.id).where(Publication.thread_key.in_(subject.threads)),
    )
    named = select(Publication.id, Publication.thread_key).where(
        Publication.id.in_(of_person), Publication.erased_at.is_(None)
    )
    found = list(await session.execute(named))
    if not found:
        return {}, 0
    await lock_threads(session, {thread for _, thread in found})
    ids = [publication_id for publication_id, _ in found]
    for publication_id in ids:
        await fail_unfinished(session, publication_id, AUTHOR_ERASED, statuses=("queued",))
    rows = await session.scalars(
        select(Publication)
        .where(is_one_of(Publication.id, ids))
        .order_by(Publication.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    changing = set(
        await session.scalars(
            select(Publication.reply_id)
            .join(PublicationChange, PublicationChange.publication_id == Publication.id)
            .where(
                is_one_of(PublicationChange.publication_id, ids), PublicationChange.status.in_(UNFINISHED_STATUSES)
            )
        )
    )
    # A change refers to the first part but edits all parts of the reply.
    finished = [row for row in rows if row.status not in UNFINISHED_STATUSES and row.reply_id not in changing]
    for row in finished:
        await _erase(session, row, subject)
    return {"publications": len(finished)}, len(ids) - len(finished)


async def _erase(session: WriteSession, row: Publication, subject: Subject) -> None:
    values = dict(_WORDS) | {"erased_at": clock.now()}
    if row.thread_key in subject.threads:
        values |= {
            "thread_key": subject.replaced_threads[row.thread_key],
            "external_id": row.external_id and erased_external_id(row.network, row.external_id),
            "reply_to": row.reply_to and erased_external_id(row.network, row.reply_to),
            "url": None,
        }
    await session.execute(
        update(Publication)
        .where(Publication.id == row.id)
        .values(**values, version=Publication.version + 1)
        .execution_options(synchronize_session=False)
    )
    if row.thread_key in subject.threads and row.external_id is not None:
        await erase_direct_message(session, subject, row.network, row.external_id)
    await session.execute(
        update(PublicationChange)
        .where(PublicationChange.publication_id == row.id, PublicationChange.text.is_not(None))
        .values(text="", part_texts=None, attachments=None, uploaded_media=None)
        .execution_options(synchronize_session=False)
    )
