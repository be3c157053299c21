"""Store the deadline of the final answer that an appeal awaits, and when its breach was recorded.

Open appeals are escalated from the deadline of the final answer too, if it is still to come. A bulk operation may
have several undos.
"""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0042"
down_revision: str | None = "0041"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BATCH = 10_000
NEXT = "SELECT max(id::text) FROM (SELECT id FROM appeals WHERE id > :after ORDER BY id LIMIT :batch) AS next"
# `version` stays, because responses do not show these columns. Deadlines that have already passed are not
# escalated: people know of them, and they are many.
AWAITED = """
UPDATE appeals SET final_answer_due_at = final.due_at,
    next_escalation_at = CASE WHEN final.state = 'running' AND appeals.organisation_id IS NOT NULL
            AND final.due_at > now()
        THEN least(appeals.next_escalation_at, final.due_at) ELSE appeals.next_escalation_at END
FROM sla_clocks final
WHERE appeals.id > :after AND appeals.id <= :last AND appeals.status NOT IN ('closed', 'not_required', 'merged')
    AND final.appeal_id = appeals.id AND final.kind = 'final_answer' AND final.due_at IS NOT NULL
    AND final.state IN ('waiting', 'running', 'paused')
"""
PASSED = """
UPDATE sla_clocks SET overdue_recorded_at = now()
WHERE appeal_id > :after AND appeal_id <= :last AND kind = 'final_answer' AND due_at <= now()
    AND overdue_recorded_at IS NULL
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
    # Commit to release the locks of the tables, then update in batches, each a transaction of its own.
    with op.get_context().autocommit_block():
        bind, after = op.get_bind(), UUID(int=0)
        while found := bind.scalar(sa.text(NEXT), {"after": after, "batch": BATCH}):
            last = UUID(found)
            bind.execute(sa.text(AWAITED), {"after": after, "last": last})
            bind.execute(sa.text(PASSED), {"after": after, "last": last})
            after = last


def downgrade() -> None:
    # The previous version has neither withdrawn requests nor several undos of one operation.
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
