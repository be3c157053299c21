"""Store whether an endpoint gets deliveries in order, and its limits; index pending deliveries by position."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0070"
down_revision: str | None = "0069"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX = "ix_webhook_deliveries_order"
_OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"


def upgrade() -> None:
    # IF NOT EXISTS, because building the index commits these columns: an interrupted migration starts again here.
    op.execute("ALTER TABLE webhook_deliveries ADD COLUMN IF NOT EXISTS ordering_key uuid")
    op.execute("ALTER TABLE webhook_deliveries ADD COLUMN IF NOT EXISTS event_position bigint")
    op.execute("ALTER TABLE webhook_deliveries ADD COLUMN IF NOT EXISTS leased_until timestamptz")
    create_index_concurrently(
        _INDEX,
        "webhook_deliveries",
        ["endpoint_id", "ordering_key", "event_position"],
        where="status = 'pending' AND ordering_key IS NOT NULL",
    )
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN ordered boolean DEFAULT false NOT NULL")
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN max_per_second integer")
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN max_concurrency integer")
    op.execute(f"GRANT SELECT (ordered, max_per_second, max_concurrency) ON webhook_endpoints TO {_OTHERS}")
    op.create_table(
        "webhook_claim_turns",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("next_send_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("fk_webhook_claim_turns_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_claim_turns")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_claim_turns TO gospablik_webhooks")
    op.execute(f"GRANT SELECT ON webhook_claim_turns TO {_OTHERS}")


def downgrade() -> None:
    drop_index_concurrently(_INDEX, "webhook_deliveries")
    # The previous version has no waiting deliveries: make them due.
    op.execute(
        "UPDATE webhook_deliveries SET next_attempt_at = now()"
        " WHERE status = 'pending' AND next_attempt_at = 'infinity'"
    )
    op.drop_table("webhook_claim_turns")
    for column in ("max_concurrency", "max_per_second", "ordered"):
        op.drop_column("webhook_endpoints", column)
    for column in ("leased_until", "event_position", "ordering_key"):
        op.drop_column("webhook_deliveries", column)
