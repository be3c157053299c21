"""A publication names the appeal whose reply it delivers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

EXISTING = "UPDATE publications SET appeal_id = replies.appeal_id FROM replies WHERE replies.id = reply_id"


def upgrade() -> None:
    op.add_column("publications", sa.Column("appeal_id", sa.Uuid(), nullable=True))
    op.execute(EXISTING)


def downgrade() -> None:
    op.drop_column("publications", "appeal_id")
