"""Store the deadline of the final answer that an appeal awaits, and when its breach was recorded.

Open appeals whose final answer is due are escalated from its deadline. A bulk operation may have several undos.
"""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0042"
down_revision: str | None = "0041"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# The version stays: nobody sees the columns.
AWAITED = """
UPDATE appeals SET final_answer_due_at = final.due_at,
    next_escalation_at = CASE WHEN final.state = 'running' AND appeals.organisation_id IS NOT NULL
        THEN least(appeals.next_escalation_at, final.due_at) ELSE appeals.next_escalation_at END
FROM sla_clocks final
WHERE final.appeal_id = appeals.id AND final.kind = 'final_answer' AND final.due_at IS NOT NULL
    AND final.state IN ('waiting', 'running', 'paused')
"""


def upgrade() -> None:
    create_index_concurrently(
        "ix_bulk_operations_undoes_id",
        "bulk_operations",
        ["undoes_id", "created_at", "id"],
        where="undoes_id IS NOT NULL",
    )
    drop_index_concurrently("uq_bulk_operations_undoes_id", "bulk_operations")
    op.execute("ALTER TABLE sla_clocks ADD COLUMN IF NOT EXISTS overdue_recorded_at timestamptz")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS final_answer_due_at timestamptz")
    # Commit to release the locks of the tables: services read and write them at the same time.
    with op.get_context().autocommit_block():
        op.execute(AWAITED)


def downgrade() -> None:
    # The former version knows neither requests that were taken back nor several undos of one operation.
    op.execute("UPDATE extension_requests SET status = 'refused' WHERE status = 'withdrawn'")
    op.execute(
        "UPDATE bulk_operations SET undoes_id = NULL FROM bulk_operations later "
        "WHERE later.undoes_id = bulk_operations.undoes_id "
        "AND (later.created_at, later.id) > (bulk_operations.created_at, bulk_operations.id)"
    )
    create_index_concurrently(
        "uq_bulk_operations_undoes_id",
        "bulk_operations",
        ["undoes_id"],
        unique=True,
        where="undoes_id IS NOT NULL",
    )
    drop_index_concurrently("ix_bulk_operations_undoes_id", "bulk_operations")
    op.drop_column("appeals", "final_answer_due_at")
    op.drop_column("sla_clocks", "overdue_recorded_at")
