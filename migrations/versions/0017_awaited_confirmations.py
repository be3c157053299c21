"""Until when a callback server's confirmation is awaited; the code is told to nobody at any other time."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("callback_servers", sa.Column("awaited_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("callback_servers", "awaited_until")
