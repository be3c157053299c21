"""Store the health of webhook endpoints and why one was disabled; index the failed deliveries of an endpoint."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0065"
down_revision: str | None = "0064"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX = "ix_webhook_deliveries_endpoint_id_failed"
_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"


def upgrade() -> None:
    create_index_concurrently(
        _INDEX, "webhook_deliveries", ["endpoint_id", "created_at", "id"], where="status = 'failed'"
    )
    op.create_table(
        "webhook_endpoint_health",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_delivery_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("fk_webhook_endpoint_health_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoint_health")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoint_health TO gospablik_webhooks")
    op.execute(f"GRANT SELECT ON webhook_endpoint_health TO {_OTHERS}")
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN disabled_at timestamptz")
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN disabled_reason text")
    op.execute("ALTER TABLE notice_letters ADD COLUMN endpoint_id uuid")
    op.execute(f"GRANT SELECT (disabled_at, disabled_reason) ON webhook_endpoints TO {_OTHERS}")


def downgrade() -> None:
    op.execute("DELETE FROM notice_letters WHERE purpose = 'endpoint_disabled'")
    op.drop_column("notice_letters", "endpoint_id")
    op.drop_column("webhook_endpoints", "disabled_reason")
    op.drop_column("webhook_endpoints", "disabled_at")
    op.drop_table("webhook_endpoint_health")
    drop_index_concurrently(_INDEX, "webhook_deliveries")
