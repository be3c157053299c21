"""Index what happened in a week: deadlines and responses, promises, deletions, closures and feedback."""

from collections.abc import Sequence

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0052"
down_revision: str | None = "0051"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Name, table, columns, condition.
INDEXES: tuple[tuple[str, str, tuple[str, ...], str | None], ...] = (
    ("ix_sla_clocks_due_at", "sla_clocks", ("due_at",), "state <> 'cancelled'"),
    ("ix_sla_clocks_stopped_at", "sla_clocks", ("stopped_at",), "stopped_at IS NOT NULL"),
    ("ix_promises_promised_at", "promises", ("promised_at",), None),
    ("ix_messages_deleted_by_community", "messages", ("deleted_at",), "deleted_by = 'community'"),
    (
        "ix_appeals_closed_unanswered",
        "appeals",
        ("closed_at",),
        "status = 'closed' AND first_response_at IS NULL",
    ),
    ("ix_feedback_rounds_said_at", "feedback_rounds", ("said_at",), "said_at IS NOT NULL"),
)


def upgrade() -> None:
    for name, table, columns, where in INDEXES:
        create_index_concurrently(name, table, columns, where=where)


def downgrade() -> None:
    for name, table, _, _ in reversed(INDEXES):
        drop_index_concurrently(name, table)
