"""Keep what the last decision about an appeal replaced, while it can be taken back."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0060"
down_revision: str | None = "0059"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    op.create_table(
        "undoable_decisions",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("former", postgresql.JSONB(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("classification", postgresql.JSONB(), nullable=True),
        sa.Column("review", postgresql.JSONB(), nullable=True),
        sa.Column("assignment_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_undoable_decisions_appeal_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_undoable_decisions_message_id")),
        sa.PrimaryKeyConstraint("appeal_id", name=op.f("pk_undoable_decisions")),
    )
    op.create_index("ix_undoable_decisions_decided_at", "undoable_decisions", ["decided_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON undoable_decisions TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON undoable_decisions TO {OTHERS}")


def downgrade() -> None:
    op.drop_table("undoable_decisions")
