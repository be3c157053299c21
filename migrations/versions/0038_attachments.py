"""Store the photos of replies, which replies and versions have them, and what is published with a part."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0038"
down_revision: str | None = "0037"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    op.execute("ALTER TABLE replies ADD COLUMN attachment_ids uuid[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE reply_versions ADD COLUMN attachment_ids uuid[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE publications ADD COLUMN attachments jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE publications ADD COLUMN uploaded_media jsonb")
    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("reply_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_attachments_organisation_id")
        ),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name=op.f("fk_attachments_reply_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    unattached = sa.text("reply_id IS NULL")
    op.create_index("ix_attachments_unattached", "attachments", ["uploaded_by"], postgresql_where=unattached)
    op.create_index(
        "ix_attachments_unattached_age", "attachments", ["created_at", "id"], postgresql_where=unattached
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON attachments TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON attachments TO {OTHERS}")


def downgrade() -> None:
    op.drop_table("attachments")
    op.drop_column("publications", "uploaded_media")
    op.drop_column("publications", "attachments")
    op.drop_column("reply_versions", "attachment_ids")
    op.drop_column("replies", "attachment_ids")
