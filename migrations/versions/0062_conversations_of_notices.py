"""Index publications of notices by thread: this finds the conversations of notices among all threads."""

from collections.abc import Sequence

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0062"
down_revision: str | None = "0061"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX = "ix_publications_of_notices"


def upgrade() -> None:
    create_index_concurrently(_INDEX, "publications", ["thread_key"], where="on_behalf_of = 'notices'")


def downgrade() -> None:
    drop_index_concurrently(_INDEX, "publications")
