"""Store the words of appeals in their base forms, for the search.

The consumer of the search begins with the next event; an hourly schedule indexes the earlier appeals.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision: str = "0043"
down_revision: str | None = "0042"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
SHOWN = "id, appeal_id, kind, written_by, organisation_id, number, number_range"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.create_table(
        "appeal_search_documents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("written_by", sa.Uuid(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("number_range", sa.BigInteger(), sa.Computed("number / 2000", persisted=True), nullable=False),
        sa.Column("words", TSVECTOR(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal_search_documents")),
    )
    op.create_index("ix_appeal_search_documents_appeal_id", "appeal_search_documents", ["appeal_id"])
    op.create_index(
        "ix_appeal_search_documents_words",
        "appeal_search_documents",
        ["number_range", "organisation_id", "words"],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.execute(
        "INSERT INTO appeals_consumer_offsets (consumer, position)"
        " SELECT 'search', max(position) FROM events HAVING max(position) IS NOT NULL ON CONFLICT DO NOTHING"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON appeal_search_documents TO gospablik_appeals")
    op.execute(f"GRANT SELECT ({SHOWN}) ON appeal_search_documents TO {OTHERS}")


def downgrade() -> None:
    op.execute("DELETE FROM appeals_consumer_offsets WHERE consumer = 'search'")
    op.drop_table("appeal_search_documents")
    op.execute("DROP EXTENSION btree_gin")
