"""Store work in bulk: operations over many appeals, and the outcome for each appeal."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0037"
down_revision = "0036"
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
    for table in ("bulk_operations", "bulk_operation_rows"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO gospablik_appeals")
        op.execute(f"GRANT SELECT ON {table} TO {OTHERS}")


def downgrade() -> None:
    op.drop_table("bulk_operation_rows")
    op.drop_table("bulk_operations")
