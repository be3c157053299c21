"""Allow several open appeals of an author in a thread, one per matter.

The number of the matter takes the place of «one open appeal» in the unique index. Former appeals of one author in
one thread are numbered in the order in which they were opened. The previous version opens no second appeal in a
thread while this migration's index exists, so its services are stopped.
"""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OPEN = "status IN ('new', 'triage', 'assigned', 'in_progress', 'on_approval', 'interim', 'reopened')"
# Updates only appeals that follow an earlier appeal of the same author in the same thread.
NUMBER = """
UPDATE appeals SET matter_number = numbered.number
FROM (
    SELECT id, row_number() OVER (PARTITION BY thread_key, author_key ORDER BY opened_at, id) AS number
    FROM appeals WHERE thread_key IS NOT NULL AND author_key IS NOT NULL
) AS numbered
WHERE numbered.id = appeals.id AND numbered.number <> appeals.matter_number
"""


def upgrade() -> None:
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS matter_number integer NOT NULL DEFAULT 1")
    op.execute("ALTER TABLE appeals ADD COLUMN IF NOT EXISTS possible_other_matters jsonb")
    op.execute(NUMBER)
    create_index_concurrently(
        "uq_appeals_matter", "appeals", ["thread_key", "author_key", "matter_number"], unique=True
    )
    create_index_concurrently("ix_appeals_open_thread", "appeals", ["thread_key", "author_key"], where=OPEN)
    create_index_concurrently(
        "ix_appeals_possible_other_matters",
        "appeals",
        ["opened_at", "id"],
        where="possible_other_matters IS NOT NULL",
    )
    drop_index_concurrently("uq_appeals_open_thread", "appeals")
    drop_index_concurrently("ix_appeals_thread_key", "appeals")


def downgrade() -> None:
    """Fail while an author has two open appeals in a thread: close or answer one of them first."""
    create_index_concurrently(
        "uq_appeals_open_thread", "appeals", ["thread_key", "author_key"], unique=True, where=OPEN
    )
    create_index_concurrently("ix_appeals_thread_key", "appeals", ["thread_key"])
    for name in ("ix_appeals_possible_other_matters", "ix_appeals_open_thread", "uq_appeals_matter"):
        drop_index_concurrently(name, "appeals")
    op.drop_column("appeals", "possible_other_matters")
    op.drop_column("appeals", "matter_number")
