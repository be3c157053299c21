"""Add former names of topics and groups; drop the kind of a topic's owner: rules choose the organisation."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.topic_taxonomy import VERSION, entries

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    topics = sa.table("topics", sa.column("code", sa.Text()), sa.column("aliases", postgresql.JSONB()))
    for found in entries(VERSION):
        op.execute(topics.update().where(topics.c.code == found.code).values(aliases=[*found.aliases]))
    op.drop_column("topics", "owner_kind")


def downgrade() -> None:
    op.add_column("topics", sa.Column("owner_kind", sa.Text(), nullable=True))
