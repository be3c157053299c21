"""Store the answered message in replies, a failed last reply in appeals, and versions of classifications."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BATCH = 10_000
NEXT = "SELECT max(id::text) FROM (SELECT id FROM replies WHERE id > :after ORDER BY id LIMIT :batch) AS next"
# The timeline has the message that each of our replies answers.
MADE_HERE = """
UPDATE replies SET in_reply_to = (timeline.data ->> 'message_id')::uuid
FROM timeline
WHERE replies.id > :after AND replies.id <= :last AND replies.in_reply_to IS NULL
  AND timeline.appeal_id = replies.appeal_id AND timeline.kind = 'reply_queued'
  AND timeline.data ->> 'reply_id' = replies.id::text AND timeline.data ->> 'message_id' IS NOT NULL
"""
# Replies that staff wrote in the network answer a comment of the citizen.
BY_HAND = """
UPDATE replies SET in_reply_to = parent.id
FROM messages AS own
JOIN messages AS parent
  ON parent.network = own.network AND parent.kind = own.kind AND parent.external_id = own.reply_to
JOIN appeal_messages ON appeal_messages.message_id = parent.id
WHERE replies.id > :after AND replies.id <= :last AND replies.in_reply_to IS NULL
  AND own.id = replies.message_id AND appeal_messages.appeal_id = replies.appeal_id
"""


def upgrade() -> None:
    # New nullable columns do not check existing rows if they are added together with their foreign keys.
    op.execute(
        "ALTER TABLE replies ADD IF NOT EXISTS in_reply_to uuid"
        " CONSTRAINT fk_replies_in_reply_to REFERENCES messages"
    )
    op.add_column("appeals", sa.Column("reply_failed", postgresql.JSONB(), nullable=True), if_not_exists=True)
    op.add_column(
        "triage",
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        if_not_exists=True,
    )
    # Update in batches: services write the same rows at the same time.
    with op.get_context().autocommit_block():
        bind, after = op.get_bind(), UUID(int=0)
        while found := bind.scalar(sa.text(NEXT), {"after": after, "batch": BATCH}):
            for statement in (MADE_HERE, BY_HAND):
                bind.execute(sa.text(statement), {"after": after, "last": UUID(found)})
            after = UUID(found)


def downgrade() -> None:
    op.drop_column("triage", "version")
    op.drop_column("appeals", "reply_failed")
    op.drop_column("replies", "in_reply_to")
