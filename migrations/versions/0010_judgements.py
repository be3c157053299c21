"""Index classifications for their list: newest first, with any one filter."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Index → its columns and the condition of a partial index.
INDEXES: dict[str, tuple[list[str], str | None]] = {
    "ix_triage_created_at": (["created_at", "message_id"], None),
    "ix_triage_judged_by_created_at": (["judged_by", "created_at", "message_id"], None),
    "ix_triage_by_people": (["created_at", "message_id"], "judged_by !~ '^(rule|model):'"),
    "ix_triage_topic_id_created_at": (["topic_id", "created_at", "message_id"], "topic_id IS NOT NULL"),
    "ix_triage_urgent": (["created_at", "message_id"], "urgency = 'high'"),
    "ix_triage_languages": (["language", "created_at", "message_id"], "language <> 'ru'"),
}


def upgrade() -> None:
    for name, (columns, where) in INDEXES.items():
        create_index_concurrently(name, "triage", columns, where=where)
    create_index_concurrently(
        "ix_triage_needs_answer_next", "triage", ["needs_answer", "created_at", "message_id"]
    )
    op.drop_index("ix_triage_needs_answer_created_at", table_name="triage")
    op.execute("ALTER INDEX ix_triage_needs_answer_next RENAME TO ix_triage_needs_answer_created_at")


def downgrade() -> None:
    op.drop_index("ix_triage_needs_answer_created_at", table_name="triage")
    op.create_index("ix_triage_needs_answer_created_at", "triage", ["needs_answer", "created_at"])
    for name in reversed(INDEXES):
        op.drop_index(name, table_name="triage")
