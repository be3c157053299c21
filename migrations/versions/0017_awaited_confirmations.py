"""Store until when a callback server's confirmation is awaited; the code is sent only until then."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_appeals, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    op.add_column("callback_servers", sa.Column("awaited_until", sa.DateTime(timezone=True), nullable=True))
    # The table holds secrets, so other services are granted single columns.
    op.execute(f"GRANT SELECT (awaited_until) ON callback_servers TO {OTHERS}")


def downgrade() -> None:
    op.drop_column("callback_servers", "awaited_until")
