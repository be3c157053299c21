"""Replace the status `on_approval`: moving an appeal set it, but the program has no approvals yet.

Such appeals become `in_progress`, as they were before the move. The timeline keeps the move.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute(
        "UPDATE appeals SET status = 'in_progress', version = version + 1, updated_at = now() "
        "WHERE status = 'on_approval'"
    )


def downgrade() -> None:
    """Change nothing: it is not known which appeals had the former status."""
