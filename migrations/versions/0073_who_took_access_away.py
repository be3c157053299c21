"""Store which organisation locked or deactivated a person. Null is the centre, also for earlier changes."""

from collections.abc import Sequence

from alembic import op

revision: str = "0073"
down_revision: str | None = "0072"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_COLUMNS = ("locked_by_organisation_id", "deactivated_by_organisation_id")
_OTHERS = "gospablik_ingest, gospablik_appeals, gospablik_metrics, gospablik_webhooks"


def upgrade() -> None:
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE people ADD COLUMN IF NOT EXISTS {column} uuid")
        # An interrupted run may have left the constraint.
        op.execute(
            "-- squawk-ignore ban-drop-constraint\n"
            f"ALTER TABLE people DROP CONSTRAINT IF EXISTS fk_people_{column}"
        )
        # Without a lock that would stop the service: new rows are checked at once, existing rows later.
        op.execute(
            f"ALTER TABLE people ADD CONSTRAINT fk_people_{column} FOREIGN KEY ({column})"
            " REFERENCES organisations (id) NOT VALID"
        )
    op.execute(f"GRANT SELECT ({', '.join(_COLUMNS)}) ON people TO {_OTHERS}")
    with op.get_context().autocommit_block():
        for column in _COLUMNS:
            op.execute(f"ALTER TABLE people VALIDATE CONSTRAINT fk_people_{column}")


def downgrade() -> None:
    for column in _COLUMNS:
        op.drop_column("people", column, if_exists=True)
