"""Let a notice be about the weekly report instead of an appeal."""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0055"
down_revision: str | None = "0054"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX = "uq_notices_person_id_report_week"
_CONSTRAINT = "ck_notices_one_subject"


def upgrade() -> None:
    op.execute("ALTER TABLE notices ADD COLUMN IF NOT EXISTS report_week text")
    for name in ("appeal_id", "appeal_number"):
        op.execute(f"-- squawk-ignore ban-drop-not-null\nALTER TABLE notices ALTER COLUMN {name} DROP NOT NULL")
    # An interrupted run may have left the constraint.
    op.execute(
        f"-- squawk-ignore ban-drop-constraint\nALTER TABLE notices DROP CONSTRAINT IF EXISTS {_CONSTRAINT}"
    )
    # Without a lock that would stop the service: new rows are checked at once, existing rows later.
    op.execute(
        f"ALTER TABLE notices ADD CONSTRAINT {_CONSTRAINT} CHECK (CASE WHEN report_week IS NULL"
        " THEN appeal_id IS NOT NULL AND appeal_number IS NOT NULL"
        " ELSE appeal_id IS NULL AND appeal_number IS NULL END) NOT VALID"
    )
    create_index_concurrently(
        _INDEX, "notices", ["person_id", "report_week"], unique=True, where="report_week IS NOT NULL"
    )
    op.execute(f"ALTER TABLE notices VALIDATE CONSTRAINT {_CONSTRAINT}")


def downgrade() -> None:
    drop_index_concurrently(_INDEX, "notices")
    op.execute("DELETE FROM notices WHERE report_week IS NOT NULL")
    op.execute(f"ALTER TABLE notices DROP CONSTRAINT IF EXISTS {_CONSTRAINT}")
    for name in ("appeal_id", "appeal_number"):
        op.alter_column("notices", name, nullable=False)
    op.drop_column("notices", "report_week", if_exists=True)
