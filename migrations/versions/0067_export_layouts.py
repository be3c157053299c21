"""Store the layout of an export: its job and its download need the same columns."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0067"
down_revision: str | None = "0066"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # Existing exports, and those that the previous version requests meanwhile, have the columns of the list.
    op.add_column(
        "appeal_exports", sa.Column("layout", sa.Text(), server_default=sa.text("'list'"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("appeal_exports", "layout")
