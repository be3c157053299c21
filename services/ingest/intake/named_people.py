"""Index of the people whom messages of others name: an erasure finds these without reading all payloads."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg

from services.ingest.intake.batches import BatchItem, IntakeBatch, message_key
from services.ingest.pseudonymisation.author_keys import author_key
from services.ingest.pseudonymisation.erased_digests import author_digest

# Polls read most messages repeatedly, so most of these rows exist already.
_INDEX_ITEMS = """
INSERT INTO named_people (digest, message_id)
SELECT DISTINCT u.digest, m.id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u(digest, network, kind, external_id)
JOIN messages m ON (m.network, m.kind, m.external_id) = (u.network, u.kind, u.external_id)
WHERE m.erased_at IS NULL
ORDER BY u.digest, m.id
ON CONFLICT DO NOTHING
"""
_INDEX_MESSAGES = """
INSERT INTO named_people (digest, message_id)
SELECT u.digest, u.message_id FROM unnest($1::text[], $2::uuid[]) AS u(digest, message_id)
ORDER BY u.digest, u.message_id
ON CONFLICT DO NOTHING
"""


# In place of a person's digest: a stored message that could not be read, and may name anybody.
UNREADABLE = "unreadable"


def index_digest(network: str, number: str) -> str:
    """Return the digest that identifies a person in the index. `number`: the network id without prefix."""
    return author_digest(author_key(network, number))[:32]


def index_digests(network: str, numbers: Iterable[str]) -> frozenset[str]:
    """Return the digests that identify the people with these numbers in the index."""
    return frozenset(index_digest(network, number) for number in set(numbers))


async def index_items(
    connection: asyncpg.Connection, batches: Sequence[IntakeBatch], items: Iterable[BatchItem]
) -> None:
    """Index the people whom stored items name. Idempotent."""
    rows = [(digest, *message_key(batches[one.batch], one.item)) for one in items for digest in one.named]
    if rows:
        await connection.execute(_INDEX_ITEMS, *(list(column) for column in zip(*rows, strict=True)))


async def index_messages(connection: asyncpg.Connection, named: Iterable[tuple[str, UUID]]) -> None:
    """Index people, by digest, as named by these messages. Idempotent."""
    rows = list(named)
    if rows:
        await connection.execute(_INDEX_MESSAGES, *(list(column) for column in zip(*rows, strict=True)))
