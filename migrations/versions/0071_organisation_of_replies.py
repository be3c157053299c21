"""Store which organisation had the appeal when its reply was submitted for publication."""

from collections.abc import Sequence

from alembic import op

revision: str = "0071"
down_revision: str | None = "0070"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_CONSTRAINT = "fk_replies_organisation_id"


def upgrade() -> None:
    op.execute("ALTER TABLE replies ADD COLUMN IF NOT EXISTS organisation_id uuid")
    # An interrupted run may have left the constraint.
    op.execute(
        f"-- squawk-ignore ban-drop-constraint\nALTER TABLE replies DROP CONSTRAINT IF EXISTS {_CONSTRAINT}"
    )
    # Without a lock that would stop the service: new rows are checked at once, existing rows later.
    op.execute(
        f"ALTER TABLE replies ADD CONSTRAINT {_CONSTRAINT} FOREIGN KEY (organisation_id)"
        " REFERENCES organisations (id) NOT VALID"
    )
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE replies VALIDATE CONSTRAINT {_CONSTRAINT}")


def downgrade() -> None:
    op.drop_column("replies", "organisation_id", if_exists=True)
