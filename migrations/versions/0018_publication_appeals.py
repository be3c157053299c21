"""Store in a publication the appeal whose reply it delivers."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BATCH = 10_000
NEXT = "SELECT max(id::text) FROM (SELECT id FROM publications WHERE id > :after ORDER BY id LIMIT :batch) AS next"
EXISTING = """
UPDATE publications SET appeal_id = replies.appeal_id FROM replies
WHERE publications.id > :after AND publications.id <= :last AND replies.id = publications.reply_id
  AND publications.appeal_id IS NULL
"""


def upgrade() -> None:
    op.add_column("publications", sa.Column("appeal_id", sa.Uuid(), nullable=True), if_not_exists=True)
    # Commit to release the lock, then update in batches: services read and write the table at the same time.
    with op.get_context().autocommit_block():
        bind, after = op.get_bind(), UUID(int=0)
        while found := bind.scalar(sa.text(NEXT), {"after": after, "batch": BATCH}):
            bind.execute(sa.text(EXISTING), {"after": after, "last": UUID(found)})
            after = UUID(found)


def downgrade() -> None:
    op.drop_column("publications", "appeal_id")
