"""Erase what else ingest keeps about a person: name, quarantined payloads, conversation states, API responses."""

import json
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update

from services.ingest.erasure.message_rows import Counts
from services.ingest.erasure.subject import Subject
from services.ingest.pseudonymisation.people_in_payloads import number_of, people_in
from shared.api.idempotency import delete_responses_about
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.ingest import (
    Author,
    IngestIdempotency,
    Message,
    PendingDeletion,
    QuarantinedPayload,
    Source,
    Thread,
)
from shared.tables.ingest_erasure import Erasure


async def erase_traces(
    session: WriteSession, erasure: Erasure, subject: Subject, subject_ids: Sequence[UUID]
) -> Counts:
    """Erase the remaining rows; return counts. `subject_ids`: ids of erased messages and appeals. Idempotent."""
    counts: Counts = {}
    # An author with messages written after `erasure.until`, which are not erased, is kept.
    later = select(Message.id).where(Message.author_key == subject.author_key).exists()
    gone = await session.scalars(
        delete(Author).where(Author.author_key == subject.author_key, ~later).returning(Author.author_key)
    )
    counts["authors"] = len(gone.all())
    await session.execute(
        update(PendingDeletion)
        .where(PendingDeletion.deleter_key == subject.author_key)
        .values(deleter_key=None)
        .execution_options(synchronize_session=False)
    )
    await session.execute(delete(Thread).where(Thread.thread_key.in_(subject.threads)))
    for thread in subject.threads:
        await _delete_conversation_state(session, thread)
    if subject.native_id is not None:
        counts["quarantine"] = await _delete_payloads(session, subject.network, subject.native_id)
    await delete_responses_about(session, IngestIdempotency, subject_ids)
    return counts


async def _delete_conversation_state(session: WriteSession, thread: str) -> None:
    """Delete the conversation's pending deletions and its entries in source cursors.

    The ids of its messages begin with the network's id of the conversation.
    """
    _, _, native = thread.partition(":")
    await session.execute(
        delete(PendingDeletion).where(
            PendingDeletion.kind == "message",
            or_(*(PendingDeletion.external_id.startswith(native + end, autoescape=True) for end in "_/")),
        )
    )
    chat = native.removeprefix("chat:")
    for name in (chat, f"chat:{chat}"):
        await session.execute(
            update(Source)
            .where(Source.cursor["closed"].has_key(name))
            .values(cursor=Source.cursor.delete_path(["closed", name]))
            .execution_options(synchronize_session=False)
        )


async def _delete_payloads(session: WriteSession, network: str | None, native_id: str) -> int:
    """Delete the quarantined payloads that name the person; return how many."""
    number = number_of(native_id)
    rows = await session.execute(
        select(QuarantinedPayload.id, QuarantinedPayload.raw).where(
            QuarantinedPayload.network == network, func.strpos(QuarantinedPayload.raw, number) > 0
        )
    )
    naming = [row.id for row in rows.all() if number in people_in(json.loads(row.raw))]
    await session.execute(delete(QuarantinedPayload).where(is_one_of(QuarantinedPayload.id, naming)))
    return len(naming)
