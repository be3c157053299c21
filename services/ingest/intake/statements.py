"""Bulk statements of intake. All its transactions lock rows in the same order, so they cannot deadlock.

Lock order: processed events, pages, threads, authors, messages, publications, sources.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy.dialects.postgresql import insert as upsert

from services.ingest.intake.batches import (
    BatchItem,
    EarlyDeletion,
    IntakeBatch,
    MessageKey,
    NewMessage,
    is_historical,
)
from services.ingest.networks.port import Author, IncomingItem
from services.ingest.networks.sanitize import encode_exact_json, replace_lone_surrogates, without_nul
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.tokens.crypto import encrypt
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.base import encode_text
from shared.tables.ingest import PendingDeletion

ROWS_PER_STATEMENT = 500

_INSERT = """
INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, reply_to, author_key,
    from_community, text, attachments, url, history, source_kind, written_at, received_at, edited_at, version, raw,
    erased_at)
SELECT u.id, b.network, u.kind, u.external_id, b.page_id, b.organisation_id, u.thread_key, u.reply_to,
    u.author_key, u.from_community, u.text, u.attachments::jsonb, u.url, u.history, b.source_kind, u.written_at,
    $1::timestamptz, CASE WHEN u.edited THEN $1::timestamptz END, CASE WHEN u.edited THEN 2 ELSE 1 END,
    u.raw::json, CASE WHEN u.erased THEN $1::timestamptz END
FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::text[]) WITH ORDINALITY
    AS b(network, page_id, organisation_id, source_kind, number)
JOIN unnest($6::uuid[], $7::integer[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::boolean[], $14::text[], $15::text[], $16::text[], $17::boolean[], $18::timestamptz[], $19::boolean[],
    $20::text[], $21::boolean[]) WITH ORDINALITY
    AS u(id, batch, kind, external_id, thread_key, reply_to, author_key, from_community, text, attachments, url,
         history, written_at, edited, raw, erased, position) ON b.number = u.batch + 1
ORDER BY u.position
ON CONFLICT (network, kind, external_id) DO NOTHING
RETURNING id
"""

_AUTHORS = """
INSERT INTO authors (author_key, network, identity, created_at, updated_at)
SELECT u.author_key, u.network, u.identity, $1::timestamptz, $1::timestamptz
FROM unnest($2::text[], $3::text[], $4::bytea[], $5::boolean[]) AS u(author_key, network, identity, named)
WHERE u.named OR NOT EXISTS (SELECT FROM authors a WHERE a.author_key = u.author_key)
ON CONFLICT (author_key) DO UPDATE SET identity = excluded.identity, updated_at = excluded.updated_at
"""

_INSERT_ORIGINALS = """
INSERT INTO message_versions (message_id, version, text, attachments, raw, replaced_at)
SELECT m.id, 1, u.text, u.attachments::jsonb, u.raw::json, m.edited_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS u(network, kind, external_id, text, attachments, raw)
JOIN messages m ON (m.network, m.kind, m.external_id) = (u.network, u.kind, u.external_id)
WHERE m.version > 1 AND m.edited_at IS NOT NULL AND m.text <> u.text AND m.erased_at IS NULL
ON CONFLICT DO NOTHING
"""

_DELETE_PENDING_DELETIONS = """
DELETE FROM pending_deletions t
USING unnest($1::text[], $2::text[], $3::text[]) AS u(network, kind, external_id)
WHERE (t.network, t.kind, t.external_id) = (u.network, u.kind, u.external_id)
RETURNING t.network, t.kind, t.external_id, t.deleter_key, t.created_at
"""


async def lock_pages(
    connection: asyncpg.Connection, batches: Sequence[IntakeBatch], items: Sequence[BatchItem]
) -> None:
    """Take advisory locks on the pages: exclusive for batches with deletions, shared otherwise.

    Without them a message and its deletion in concurrent transactions would not see each other. With them the
    deletion sees the committed message, or the message sees the pending deletion.
    """
    alone = {batches[one.batch].page.id for one in items if one.item.change == "deleted"}
    pages = sorted({batches[one.batch].page.id for one in items})
    for page in pages:
        shared = "" if page in alone else "_shared"
        # The second half of the UUIDv7, mostly random. Pages with the same lock would only wait for each other.
        lock = int.from_bytes(page.bytes[8:], signed=True)
        await connection.execute(f"SELECT pg_advisory_xact_lock{shared}($1)", lock)


async def upsert_authors(
    connection: asyncpg.Connection, batches: Sequence[IntakeBatch], items: Iterable[BatchItem]
) -> dict[tuple[str, str], str]:
    """Store the authors' identities, encrypted; return pseudonyms by (network, native id).

    A stored name is kept if a later payload has none.
    """
    people: dict[tuple[str, str], Author] = {}
    for one in items:
        author = one.item.author
        if author is None:
            continue
        who = batches[one.batch].page.network, author.native_id
        if who not in people or author.name:
            people[who] = author
    if not people:
        return {}
    keys = {who: author_key(*who) for who in people}
    ordered = sorted(people, key=keys.__getitem__)
    authors = [people[who] for who in ordered]
    await connection.execute(
        _AUTHORS,
        clock.now(),
        [keys[who] for who in ordered],
        [network for network, _ in ordered],
        [encrypt({"id": one.native_id, "name": one.name, "url": one.url}) for one in authors],
        [one.name is not None for one in authors],
    )
    return keys


async def insert_messages(
    connection: asyncpg.Connection,
    batches: Sequence[IntakeBatch],
    rows: Sequence[NewMessage],
    received_at: datetime,
) -> set[UUID]:
    """Insert messages that are not stored yet; return the inserted ids."""
    inserted: set[UUID] = set()
    pages = [batch.page for batch in batches]
    common = (
        received_at,
        [page.network for page in pages],
        [page.id for page in pages],
        [page.organisation_id for page in pages],
        [batch.source for batch in batches],
    )
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        chunk = rows[start : start + ROWS_PER_STATEMENT]
        items = [one.item for one in chunk]
        found = await connection.fetch(
            _INSERT,
            *common,
            [one.message_id for one in chunk],
            [one.batch for one in chunk],
            [item.kind for item in items],
            [item.external_id for item in items],
            [item.thread_key for item in items],
            [item.reply_to for item in items],
            [one.author_key for one in chunk],
            [item.from_community for item in items],
            [encode_text(replace_lone_surrogates(item.text or "")) for item in items],
            [encode_exact_json(item.attachments) for item in items],
            [without_nul(item.url) for item in items],
            [is_historical(batches, one) for one in chunk],
            [item.written_at for item in items],
            [item.change == "edited" for item in items],
            [json.dumps(item.raw) for item in items],
            [one.erased for one in chunk],
        )
        inserted.update(UUID(bytes=row["id"].bytes) for row in found)
    return inserted


async def save_original_texts(
    connection: asyncpg.Connection, late: Sequence[tuple[MessageKey, IncomingItem]]
) -> None:
    """Store the texts of "new" items that arrived after an edit as versions before the edit."""
    if late:
        await connection.execute(
            _INSERT_ORIGINALS,
            [key[0] for key, _ in late],
            [key[1] for key, _ in late],
            [key[2] for key, _ in late],
            [encode_text(replace_lone_surrogates(item.text or "")) for _, item in late],
            [encode_exact_json(item.attachments) for _, item in late],
            [json.dumps(item.raw) for _, item in late],
        )


async def take_pending_deletions(
    connection: asyncpg.Connection, keys: Collection[MessageKey]
) -> dict[MessageKey, EarlyDeletion]:
    """Delete and return the pending deletions of these messages."""
    if not keys:
        return {}
    ordered = sorted(keys)
    rows = await connection.fetch(
        _DELETE_PENDING_DELETIONS,
        [key[0] for key in ordered],
        [key[1] for key in ordered],
        [key[2] for key in ordered],
    )
    return {
        (row["network"], row["kind"], row["external_id"]): EarlyDeletion(row["deleter_key"], row["created_at"])
        for row in rows
    }


async def save_pending_deletions(
    session: WriteSession, deletions: Iterable[tuple[MessageKey, UUID, str | None]]
) -> None:
    """Store deletions (message key, page id, deleter) of messages that have not arrived yet."""
    now = clock.now()
    rows = [
        {
            "network": network,
            "kind": kind,
            "external_id": external_id,
            "page_id": page_id,
            "deleter_key": deleter,
            "created_at": now,
        }
        for (network, kind, external_id), page_id, deleter in sorted(deletions, key=lambda one: one[0])
    ]
    if not rows:
        return
    statement = upsert(PendingDeletion)
    statement = statement.on_conflict_do_update(
        index_elements=[PendingDeletion.network, PendingDeletion.kind, PendingDeletion.external_id],
        set_={"deleter_key": statement.excluded.deleter_key},
        where=PendingDeletion.deleter_key.is_(None) & statement.excluded.deleter_key.is_not(None),
    )
    await session.execute(statement, rows)
