"""Store for how long a reply found no connection to its network: this time does not count against it."""

from collections.abc import Sequence

from alembic import op

revision: str = "0078"
down_revision: str | None = "0077"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_TABLES = ("publications", "publication_changes")


def upgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS unreachable_seconds double precision NOT NULL DEFAULT 0"
        )


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_column(table, "unreachable_seconds", if_exists=True)
