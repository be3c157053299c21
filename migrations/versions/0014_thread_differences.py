"""Compare the network's counts with stored comments: an index for that, and columns of lasting differences."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

INDEX, TABLE = "ix_messages_living_comments", "messages"


def upgrade() -> None:
    create_index_concurrently(INDEX, TABLE, ["thread_key"], where="kind = 'comment' AND deleted_at IS NULL")
    for column in ("difference", "rechecks"):
        op.add_column("threads", sa.Column(column, sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("threads", sa.Column("recheck_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    drop_index_concurrently(INDEX, TABLE)
    for column in ("recheck_at", "rechecks", "difference"):
        op.drop_column("threads", column)
