"""Routing rules: conditions on sphere and kind of the page's owner, and a reason; index organisations by kind.

Targets by role need no column: they are values of `send_to`. The downgrade deletes the rules that only this
version can store.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COLUMNS = ("page_owner_sphere", "page_owner_kind", "reason")
ROLES = "('municipality_administration', 'sphere_body', 'page_owner_founder')"


def upgrade() -> None:
    create_index_concurrently("ix_organisations_kind", "organisations", ["kind"])
    for name in COLUMNS:
        op.add_column("routing_rules", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    drop_index_concurrently("ix_organisations_kind", "organisations")
    op.execute(
        f"DELETE FROM routing_rules WHERE send_to IN {ROLES}"
        " OR page_owner_sphere IS NOT NULL OR page_owner_kind IS NOT NULL"
    )
    op.execute(f"UPDATE rule_sets SET default_to = 'page_owner' WHERE default_to IN {ROLES}")
    for name in reversed(COLUMNS):
        op.drop_column("routing_rules", name)
