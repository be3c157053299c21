"""Incidents: which members get a reply; indexes of similar appeals, unseen alerts and members by appeal."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    create_index_concurrently("ix_alerts_unseen", "alerts", ["created_at", "id"], where="seen_at IS NULL")
    create_index_concurrently("ix_incident_members_appeal_id", "incident_members", ["appeal_id"])
    create_index_concurrently("ix_appeals_author_key_opened_at", "appeals", ["author_key", "opened_at"])
    create_index_concurrently(
        "ix_appeals_words", "appeals", [sa.text("hashtextextended(lower(text), 0)"), "opened_at"]
    )
    for what in ("street", "fault"):
        create_index_concurrently(
            f"ix_appeals_{what}", "appeals", ["municipality", what, "opened_at"], where=f"{what} IS NOT NULL"
        )
    for name in ("also_later", "beneath"):
        op.add_column("incident_replies", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_index("ix_appeals_fault", table_name="appeals", postgresql_where=sa.text("fault IS NOT NULL"))
    op.drop_index("ix_appeals_street", table_name="appeals", postgresql_where=sa.text("street IS NOT NULL"))
    op.drop_index("ix_appeals_words", table_name="appeals")
    op.drop_index("ix_appeals_author_key_opened_at", table_name="appeals")
    op.drop_index("ix_incident_members_appeal_id", table_name="incident_members")
    op.drop_index("ix_alerts_unseen", table_name="alerts", postgresql_where=sa.text("seen_at IS NULL"))
    op.drop_column("incident_replies", "beneath")
    op.drop_column("incident_replies", "also_later")
