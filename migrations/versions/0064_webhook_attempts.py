"""Keep every attempt of a webhook delivery, with the start of the response."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0064"
down_revision: str | None = "0063"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_head", sa.Text(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_deliveries.id"],
            name=op.f("fk_webhook_attempts_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", "id", name=op.f("pk_webhook_attempts")),
    )
    op.create_index("ix_webhook_attempts_started_at", "webhook_attempts", ["started_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_attempts TO gospablik_webhooks")
    # Other services may not read responses: a receiver may repeat a citizen's words in them.
    op.execute(
        "GRANT SELECT (delivery_id, id, number, started_at, duration_ms, response_status) ON webhook_attempts"
        " TO gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"
    )


def downgrade() -> None:
    op.drop_table("webhook_attempts")
