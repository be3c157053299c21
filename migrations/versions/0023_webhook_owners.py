"""Store the owner of a webhook endpoint, whose rights limit its events, and a consent to personal data.

The creator of an endpoint becomes its owner; the first fan-out suspends endpoints whose owner no longer has the
rights.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# These services may read the new columns of endpoints.
OTHERS = "gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"
COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "owner_id": sa.Uuid(),
    "consent_by": sa.Uuid(),
    "consent_at": sa.DateTime(timezone=True),
    "suspended_at": sa.DateTime(timezone=True),
    "suspended_reason": sa.Text(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("webhook_endpoints", sa.Column(name, kind, nullable=True))
    op.execute(f"GRANT SELECT ({', '.join(COLUMNS)}) ON webhook_endpoints TO {OTHERS}")
    op.execute(
        "UPDATE webhook_endpoints SET owner_id = created_by::uuid WHERE pg_input_is_valid(created_by, 'uuid')"
    )


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("webhook_endpoints", name)
