"""Let appeals read the names of people, to show colleagues by name."""

from collections.abc import Sequence

from alembic import op

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("GRANT SELECT (full_name) ON people TO gospablik_appeals")


def downgrade() -> None:
    op.execute("REVOKE SELECT (full_name) ON people FROM gospablik_appeals")
