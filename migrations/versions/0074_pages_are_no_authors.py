"""Remove pages from authors: networks name a page as the author of its own messages, and erasures took it for a
citizen. Remove ids of OK conversations from errors of sources and from ended scans. Index erasures.
"""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0074"
down_revision: str | None = "0073"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BATCH = 10_000
NEXT = "SELECT max(id::text) FROM (SELECT id FROM messages WHERE id > :after ORDER BY id LIMIT :batch) AS next"
# The rows are locked in the order in which the intake locks them, to avoid deadlocks. `version` stays: the message
# is the same.
OWN_MESSAGES = """
WITH own AS (
    SELECT id FROM messages
    WHERE id > :after AND id <= :last AND from_community AND author_key IS NOT NULL
    ORDER BY network, kind, external_id FOR UPDATE
)
UPDATE messages SET author_key = NULL FROM own WHERE messages.id = own.id
"""
NEXT_AUTHOR = """
SELECT max(author_key) FROM (
    SELECT author_key FROM authors WHERE author_key > :after ORDER BY author_key LIMIT :batch) AS next
"""
WITHOUT_MESSAGES = """
    NOT EXISTS (SELECT FROM messages WHERE messages.author_key = authors.author_key)
    AND NOT EXISTS (SELECT FROM appeals WHERE appeals.author_key = authors.author_key)
"""
FORMER_AUTHORS = f"""
SELECT array_agg(author_key) FROM authors
WHERE author_key > :after AND author_key <= :last AND {WITHOUT_MESSAGES}
"""
# The lock of erasures. Each batch of the intake holds it shared, so whoever holds it alone knows that no batch is
# about to store an author's message.
ERASURE_LOCK = int.from_bytes(b"erasures", signed=True)
# In a function, each statement sees what was committed while the lock was waited for.
DELETE_AUTHORS = f"""
CREATE OR REPLACE FUNCTION pg_temp.delete_former_authors(keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({ERASURE_LOCK});
    DELETE FROM authors WHERE author_key = ANY(keys) AND {WITHOUT_MESSAGES};
END $$
"""
CONVERSATIONS = """
WITH named AS (SELECT id FROM sources WHERE last_error LIKE '%(переписка %' ORDER BY page_id, kind FOR UPDATE)
UPDATE sources SET last_error = regexp_replace(last_error, '\\(переписка [^,()]*,', '(одна из переписок,')
FROM named WHERE sources.id = named.id
"""
ENDED_SCANS = (
    """
    UPDATE backfills SET cursor = '{}' WHERE status IN ('done', 'failed', 'cancelled') AND cursor::text <> '{}'
    """,
    "UPDATE reconciliations SET cursor = '{}' WHERE finished_at IS NOT NULL AND cursor::text <> '{}'",
)
_INDEX = "ix_erasures_pseudonym"


def upgrade() -> None:
    create_index_concurrently(_INDEX, "erasures", ["pseudonym"])
    # In batches, each a transaction of its own: services read and write the tables at the same time, and the
    # intake takes the lock of erasures before it locks rows. An interrupted run is repeated from the start, and
    # finds what is left.
    with op.get_context().autocommit_block():
        bind, after = op.get_bind(), UUID(int=0)
        while found := bind.scalar(sa.text(NEXT), {"after": after, "batch": BATCH}):
            bind.execute(sa.text(OWN_MESSAGES), {"after": after, "last": UUID(found)})
            after = UUID(found)
        bind.execute(sa.text(DELETE_AUTHORS))
        after_key = ""
        while last_key := bind.scalar(sa.text(NEXT_AUTHOR), {"after": after_key, "batch": BATCH}):
            keys = {"after": after_key, "last": last_key}
            if former := bind.scalar(sa.text(FORMER_AUTHORS), keys):
                bind.execute(sa.text("SELECT pg_temp.delete_former_authors(:keys)"), {"keys": former})
            after_key = last_key
        for statement in (CONVERSATIONS, *ENDED_SCANS):
            bind.execute(sa.text(statement))


def downgrade() -> None:
    drop_index_concurrently(_INDEX, "erasures")
