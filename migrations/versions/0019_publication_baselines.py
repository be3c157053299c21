"""Store the last id of a thread before a reply was first sent: a later comment may be that reply."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# For open or failed publications: the thread as it was stored at the request. OK's ids are not ordered, so the
# network's timestamp in milliseconds is used, minus an hour, as in the code.
EXISTING = """
UPDATE publications SET sent_after = (
    SELECT max(CASE WHEN publications.network = 'vk' THEN substring(messages.external_id FROM '[0-9]+$')::bigint
               ELSE floor(extract(epoch FROM messages.written_at) * 1000)::bigint - 3600000 END)
    FROM messages
    WHERE messages.thread_key = publications.thread_key AND messages.kind = publications.kind
        AND messages.received_at <= publications.created_at
)
WHERE external_id IS NULL AND sending_since IS NOT NULL
"""


INDEX, TABLE = "ix_publications_in_doubt", "publications"


def upgrade() -> None:
    create_index_concurrently(
        INDEX, TABLE, ["thread_key"], where="sending_since IS NOT NULL AND external_id IS NULL"
    )
    op.add_column("publications", sa.Column("sent_after", sa.BigInteger(), nullable=True))
    for name in ("stood_before", "sent_texts"):
        op.add_column(
            "publications",
            sa.Column(name, postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        )
    op.execute(EXISTING)


def downgrade() -> None:
    drop_index_concurrently(INDEX, TABLE)
    for name in ("sent_texts", "stood_before", "sent_after"):
        op.drop_column("publications", name)
