"""Index lists and schedules that would read more rows as an installation grows."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Index → its table, columns and the condition of a partial index.
INDEXES: dict[str, tuple[str, list[str], str | None]] = {
    "ix_appeals_network_opened_at": ("appeals", ["network", "opened_at", "id"], None),
    "ix_appeals_urgent": ("appeals", ["opened_at", "id"], "urgency = 'high'"),
    "ix_replies_waiting": ("replies", ["created_at"], "status = 'queued' AND publication_id IS NULL"),
    "ix_alerts_kind_created_at": ("alerts", ["kind", "created_at", "id"], None),
    "ix_messages_kind_received_at": ("messages", ["kind", "received_at", "id"], None),
    "ix_messages_network_received_at": ("messages", ["network", "received_at", "id"], None),
    "ix_messages_history": ("messages", ["received_at", "id"], "history"),
    "ix_publications_created_at": ("publications", ["created_at", "id"], None),
    "ix_publications_organisation_id_created_at": ("publications", ["organisation_id", "created_at", "id"], None),
    "ix_publications_network_created_at": ("publications", ["network", "created_at", "id"], None),
    "ix_publications_unpublished": ("publications", ["status", "created_at", "id"], "status <> 'published'"),
    "ix_set_aside_created_at": ("set_aside", ["created_at", "id"], None),
    "ix_set_aside_page_id_created_at": ("set_aside", ["page_id", "created_at", "id"], None),
    "ix_webhook_deliveries_failed": ("webhook_deliveries", ["created_at", "id"], "status = 'failed'"),
}


def upgrade() -> None:
    for name, (table, columns, where) in INDEXES.items():
        create_index_concurrently(name, table, columns, where=where)


def downgrade() -> None:
    for name, (table, _, _) in reversed(INDEXES.items()):
        op.drop_index(name, table_name=table)
