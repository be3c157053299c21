"""Store bulk operations with their outcome for each appeal, and which appeals were merged."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    op.create_table(
        "bulk_operations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("undoes_id", sa.Uuid(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("include_subordinates", sa.Boolean(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_bulk_operations_organisation_id")
        ),
        sa.ForeignKeyConstraint(["undoes_id"], ["bulk_operations.id"], name=op.f("fk_bulk_operations_undoes_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_operations")),
    )
    op.create_index("ix_bulk_operations_created_at", "bulk_operations", ["created_at", "id"])
    op.create_index(
        "ix_bulk_operations_organisation_id", "bulk_operations", ["organisation_id", "created_at", "id"]
    )
    op.create_index(
        "uq_bulk_operations_undoes_id",
        "bulk_operations",
        ["undoes_id"],
        unique=True,
        postgresql_where=sa.text("undoes_id IS NOT NULL"),
    )
    op.create_table(
        "bulk_operation_rows",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("problem", postgresql.JSONB(), nullable=True),
        sa.Column("former", postgresql.JSONB(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["bulk_operations.id"], name=op.f("fk_bulk_operation_rows_operation_id")
        ),
        sa.PrimaryKeyConstraint("operation_id", "appeal_id", name=op.f("pk_bulk_operation_rows")),
    )
    op.create_index(
        "ix_bulk_operation_rows_outcome", "bulk_operation_rows", ["operation_id", "outcome", "appeal_id"]
    )
    _create_merges()
    for table in ("bulk_operations", "bulk_operation_rows", "appeal_merges"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_appeals")
        op.execute(f"GRANT SELECT ON {table} TO {OTHERS}")


def downgrade() -> None:
    """Close merged appeals: the previous version does not have their status."""
    op.execute("UPDATE appeals SET status = 'closed' WHERE status = 'merged'")
    op.drop_table("appeal_merges")
    op.drop_table("bulk_operation_rows")
    op.drop_table("bulk_operations")


def _create_merges() -> None:
    op.create_table(
        "appeal_merges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("into_id", sa.Uuid(), nullable=False),
        sa.Column("thread_key", sa.Text(), nullable=False),
        sa.Column("author_key", sa.Text(), nullable=False),
        sa.Column("message_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("former_status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("merged_by", sa.Text(), nullable=False),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_appeal_merges_appeal_id")),
        sa.ForeignKeyConstraint(["into_id"], ["appeals.id"], name=op.f("fk_appeal_merges_into_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_merges")),
    )
    in_effect = sa.text("undone_at IS NULL")
    op.create_index(
        "uq_appeal_merges_appeal_id", "appeal_merges", ["appeal_id"], unique=True, postgresql_where=in_effect
    )
    for column in ("into_id", "thread_key"):
        op.create_index(f"ix_appeal_merges_{column}", "appeal_merges", [column], postgresql_where=in_effect)
