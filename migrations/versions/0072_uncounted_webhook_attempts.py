"""Count webhook attempts without an outcome separately; store when an endpoint last failed and last answered."""

from collections.abc import Sequence

from alembic import op

revision: str = "0072"
down_revision: str | None = "0071"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("ALTER TABLE webhook_deliveries ADD COLUMN uncounted_attempts integer DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE webhook_endpoint_health ADD COLUMN last_failure_at timestamptz")
    op.execute("ALTER TABLE webhook_endpoint_health ADD COLUMN last_answer_at timestamptz")


def downgrade() -> None:
    op.drop_column("webhook_endpoint_health", "last_answer_at")
    op.drop_column("webhook_endpoint_health", "last_failure_at")
    op.drop_column("webhook_deliveries", "uncounted_attempts")
