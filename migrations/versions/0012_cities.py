"""Rename cities as in the municipalities file and the gazetteer: «город Улан-Удэ», not «Город Улан-Удэ».

The table had the latter, so a municipality that the classifier found in a text was not found in the table.
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
