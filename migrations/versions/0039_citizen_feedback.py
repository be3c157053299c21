"""Store what citizens say about final answers, how a reply ends its matter, and when the final answer came."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0039"
down_revision: str | None = "0038"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OTHERS = "gospablik_registry, gospablik_ingest, gospablik_metrics, gospablik_webhooks"
BATCH = 10_000
NEXT = "SELECT max(id::text) FROM (SELECT id FROM appeals WHERE id > :after ORDER BY id LIMIT :batch) AS next"
# Only appeals with a final answer are written.
FINAL_ANSWERS = """
UPDATE appeals SET final_answer_at = answered.at
FROM (
    SELECT appeal_id, min(published_at) AS at FROM replies
    WHERE status = 'published' AND kind = 'final' AND appeal_id > :after AND appeal_id <= :last GROUP BY appeal_id
) AS answered
WHERE answered.appeal_id = appeals.id AND appeals.final_answer_at IS NULL
"""


def upgrade() -> None:
    op.execute("ALTER TABLE replies ADD COLUMN IF NOT EXISTS outcome text")
    op.execute("ALTER TABLE replies ADD COLUMN IF NOT EXISTS asks_mark boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS final_answer_at timestamptz")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS feedback_kind text")
    # Commit to release the locks, then update in batches: services read and write the tables at the same time.
    with op.get_context().autocommit_block():
        bind, after = op.get_bind(), UUID(int=0)
        while found := bind.scalar(sa.text(NEXT), {"after": after, "batch": BATCH}):
            bind.execute(sa.text(FINAL_ANSWERS), {"after": after, "last": UUID(found)})
            after = UUID(found)
    create_index_concurrently(
        "ix_appeals_feedback_kind",
        "appeals",
        ["feedback_kind", "opened_at", "id"],
        where="feedback_kind IS NOT NULL",
    )
    op.create_table(
        "feedback_rounds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appeal_id", sa.Uuid(), nullable=False),
        sa.Column("reply_id", sa.Uuid(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("silent_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("mark", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("read_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["appeals.id"], name=op.f("fk_feedback_rounds_appeal_id")),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name=op.f("fk_feedback_rounds_reply_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_feedback_rounds_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback_rounds")),
        sa.UniqueConstraint("reply_id", name=op.f("uq_feedback_rounds_reply_id")),
        sa.UniqueConstraint("message_id", name=op.f("uq_feedback_rounds_message_id")),
    )
    op.create_index("ix_feedback_rounds_appeal_id", "feedback_rounds", ["appeal_id", "created_at"])
    op.create_index(
        "ix_feedback_rounds_awaited",
        "feedback_rounds",
        ["silent_after", "id"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON feedback_rounds TO gospablik_appeals")
    op.execute(f"GRANT SELECT ON feedback_rounds TO {OTHERS}")


def downgrade() -> None:
    op.drop_table("feedback_rounds")
    # Stored deadlines keep the reopening until they are computed again.
    op.execute("DELETE FROM sla_clock_events WHERE kind = 'reopened'")
    drop_index_concurrently("ix_appeals_feedback_kind", "appeals")
    op.drop_column("appeals", "feedback_kind")
    op.drop_column("appeals", "final_answer_at")
    op.drop_column("replies", "asks_mark")
    op.drop_column("replies", "outcome")
