"""Store tickets of event streams, and who has the page of an appeal open."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0045"
down_revision: str | None = "0044"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "stream_tickets",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("claims", JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_stream_tickets")),
    )
    op.create_index("ix_stream_tickets_expires_at", "stream_tickets", ["expires_at"])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON stream_tickets TO gospablik_webhooks")
    op.execute(
        "GRANT SELECT (claims, expires_at) ON stream_tickets"
        " TO gospablik_registry, gospablik_ingest, gospablik_appeals, gospablik_metrics"
    )
    op.create_table(
        "appeal_presence",
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("appeal_id", "actor_id", name=op.f("pk_appeal_presence")),
        # Heartbeats change rows in place: no index contains the changed columns, and table pages have room.
        postgresql_with={"fillfactor": 50},
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON appeal_presence TO gospablik_appeals")
    op.execute(
        "GRANT SELECT ON appeal_presence"
        " TO gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
    )


def downgrade() -> None:
    op.drop_table("appeal_presence")
    op.drop_table("stream_tickets")
