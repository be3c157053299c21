"""Mask texts in webhooks unless an endpoint requests personal data."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007b"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# The other services, which may read endpoints except for the secrets.
OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"


def upgrade() -> None:
    op.add_column(
        "webhook_endpoints",
        sa.Column("personal_data", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(f"GRANT SELECT (personal_data) ON webhook_endpoints TO {OTHERS}")


def downgrade() -> None:
    op.drop_column("webhook_endpoints", "personal_data")
