"""Drafts of replies: versions, edit leases, templates, and rules by which replies need approval."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.indexes import create_index_concurrently

revision: str = "0033"
down_revision: str | None = "0032"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = ("reply_versions", "reply_leases", "reply_templates", "approval_rules")
OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_index_concurrently(
        "ix_replies_on_approval", "replies", ["submitted_at", "id"], where="status = 'on_approval'"
    )
    op.add_column("replies", sa.Column("approval", postgresql.JSONB(), nullable=True), if_not_exists=True)
    op.create_table(
        "reply_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reply_versions"),
        sa.Column(
            "reply_id", sa.Uuid(), sa.ForeignKey("replies.id", name="fk_reply_versions_reply_id"), nullable=False
        ),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("promised_at", TIME, nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("hints", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.UniqueConstraint("reply_id", "number", name="uq_reply_versions_reply_id_number"),
    )
    op.create_table(
        "reply_leases",
        sa.Column(
            "appeal_id", sa.Uuid(), sa.ForeignKey("appeals.id", name="fk_reply_leases_appeal_id"), nullable=False
        ),
        sa.PrimaryKeyConstraint("appeal_id", name="pk_reply_leases"),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("acquired_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_table(
        "reply_templates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reply_templates"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "organisation_id",
            sa.Uuid(),
            sa.ForeignKey("organisations.id", name="fk_reply_templates_organisation_id"),
            nullable=True,
        ),
        sa.Column(
            "topic_id", sa.Uuid(), sa.ForeignKey("topics.id", name="fk_reply_templates_topic_id"), nullable=True
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_index("ix_reply_templates_created_at", "reply_templates", ["created_at", "id"])
    op.create_index(
        "ix_reply_templates_organisation_id", "reply_templates", ["organisation_id", "created_at", "id"]
    )
    op.create_table(
        "approval_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approval_rules"),
        sa.Column(
            "topic_id", sa.Uuid(), sa.ForeignKey("topics.id", name="fk_approval_rules_topic_id"), nullable=True
        ),
        sa.Column("urgency", sa.Text(), nullable=True),
        sa.Column(
            "organisation_id",
            sa.Uuid(),
            sa.ForeignKey("organisations.id", name="fk_approval_rules_organisation_id"),
            nullable=True,
        ),
        sa.Column("organisation_kind", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.UniqueConstraint(
            "topic_id",
            "urgency",
            "organisation_id",
            "organisation_kind",
            name="uq_approval_rules_conditions",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_approval_rules_created_at", "approval_rules", ["created_at", "id"])
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_appeals")
        # Other services may not read the name of the person who holds a lease.
        shown = " (appeal_id, holder, acquired_at, expires_at)" if table == "reply_leases" else ""
        op.execute(f"GRANT SELECT{shown} ON {table} TO {OTHERS}")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("replies", "approval")
    op.drop_index("ix_replies_on_approval", table_name="replies")
