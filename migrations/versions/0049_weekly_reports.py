"""Store published weekly reports, and later corrections of their figures."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0049"
down_revision: str | None = "0048"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_webhooks"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "weekly_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("week", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("appeals", sa.Integer(), nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_weekly_reports")),
        sa.UniqueConstraint("week", name=op.f("uq_weekly_reports_week")),
    )
    op.create_table(
        "weekly_report_corrections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("changes", JSONB(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["weekly_reports.id"], name=op.f("fk_weekly_report_corrections_report_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_weekly_report_corrections")),
    )
    op.create_index(
        "ix_weekly_report_corrections_report_id", "weekly_report_corrections", ["report_id", "created_at"]
    )
    op.create_table(
        "metrics_idempotency",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", JSONB(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_metrics_idempotency")),
    )
    op.create_index(op.f("ix_metrics_idempotency_created_at"), "metrics_idempotency", ["created_at"])
    tables = "weekly_reports, weekly_report_corrections"
    # Published reports are never changed.
    op.execute(f"GRANT SELECT, INSERT ON {tables} TO gospablik_metrics")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON metrics_idempotency TO gospablik_metrics")
    op.execute(f"GRANT SELECT ON {tables} TO {_OTHERS}")


def downgrade() -> None:
    op.drop_table("metrics_idempotency")
    op.drop_table("weekly_report_corrections")
    op.drop_table("weekly_reports")
