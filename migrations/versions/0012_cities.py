"""Rename cities as in the list of municipalities and the gazetteer: «город Улан-Удэ».

Locations classified under the other name were not found among the municipalities.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("UPDATE municipalities SET name = 'город ' || substr(name, 7) WHERE name LIKE 'Город %'")


def downgrade() -> None:
    op.execute("UPDATE municipalities SET name = 'Город ' || substr(name, 7) WHERE name LIKE 'город %'")
