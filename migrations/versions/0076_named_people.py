"""Index whom messages of other people name. A job of ingest reads the messages that are stored already."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0076"
down_revision: str | None = "0075"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_appeals, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    op.create_table(
        "named_people",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_named_people_message_id")),
        sa.PrimaryKeyConstraint("digest", "message_id", name=op.f("pk_named_people")),
    )
    op.create_table(
        "unindexed_messages",
        sa.Column("after", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("after", name=op.f("pk_unindexed_messages")),
    )
    op.execute(
        "INSERT INTO unindexed_messages SELECT '00000000-0000-0000-0000-000000000000'"
        " WHERE EXISTS (SELECT FROM messages)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON named_people, unindexed_messages TO gospablik_ingest")
    op.execute(f"GRANT SELECT (message_id) ON named_people TO {OTHERS}")
    op.execute(f"GRANT SELECT ON unindexed_messages TO {OTHERS}")


def downgrade() -> None:
    op.drop_table("unindexed_messages")
    op.drop_table("named_people")
