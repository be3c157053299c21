"""No appeal is `on_approval`: a move led there, and nothing asks for an approval yet.

Such appeals are worked on, as before the move. The timeline keeps what was done.
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
    """The statuses are not told apart any more."""
