"""Store edits and withdrawals of published replies, as appeals requests them and as ingest carries them out."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0041"
down_revision: str | None = "0040"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = {
    "reply_changes": ("gospablik_appeals", "gospablik_registry, gospablik_ingest, gospablik_metrics"),
    "publication_changes": ("gospablik_ingest", "gospablik_registry, gospablik_appeals, gospablik_metrics"),
}


def upgrade() -> None:
    op.execute("ALTER TABLE publications ADD COLUMN withdrawn_at timestamptz")
    op.create_table(
        "reply_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reply_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("former_text", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hints", JSONB(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", JSONB(), nullable=True),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name=op.f("fk_reply_changes_reply_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply_changes")),
    )
    op.create_index("ix_reply_changes_reply_id", "reply_changes", ["reply_id", "requested_at", "id"])
    op.create_index(
        "uq_reply_changes_under_way",
        "reply_changes",
        ["reply_id"],
        unique=True,
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "ix_reply_changes_unacknowledged",
        "reply_changes",
        ["requested_at"],
        postgresql_where=sa.text("status = 'queued' AND accepted_at IS NULL"),
    )
    op.create_table(
        "publication_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("publication_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("on_behalf_of", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sending_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.id"], name=op.f("fk_publication_changes_publication_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication_changes")),
    )
    op.create_index(
        "uq_publication_changes_unfinished",
        "publication_changes",
        ["publication_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'sending', 'uncertain')"),
    )
    op.create_index(
        "ix_publication_changes_unfinished",
        "publication_changes",
        ["updated_at"],
        postgresql_where=sa.text("status IN ('queued', 'sending', 'uncertain')"),
    )
    for table, (owner, readers) in OTHERS.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {owner}")
        op.execute(f"GRANT SELECT ON {table} TO {readers}, gospablik_webhooks")


def downgrade() -> None:
    op.drop_table("publication_changes")
    op.drop_table("reply_changes")
    # The previous version has neither withdrawn replies nor events of withdrawn answers. Stored deadlines stay
    # until they are computed again.
    op.execute("UPDATE replies SET status = 'published' WHERE status = 'withdrawn'")
    op.execute("DELETE FROM sla_clock_events WHERE kind = 'answer_withdrawn'")
    op.drop_column("publications", "withdrawn_at")
