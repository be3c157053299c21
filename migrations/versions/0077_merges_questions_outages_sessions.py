"""Store when a merge brought a message to its appeal, which merges alone marked an appeal as unread, with which
words a reply asks for a mark, since when a reply finds no connection to its network, and by which key the
successor of a refresh token is derived.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0077"
down_revision: str | None = "0076"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("ALTER TABLE appeal_messages ADD COLUMN IF NOT EXISTS merged_at timestamptz")
    op.execute("ALTER TABLE unread_appeals ADD COLUMN IF NOT EXISTS merge_ids uuid[]")
    op.execute("ALTER TABLE replies ADD COLUMN IF NOT EXISTS mark_question text")
    for table in ("publications", "publication_changes"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS unreachable_since timestamptz")
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN IF NOT EXISTS successor_key text")


def downgrade() -> None:
    # The former version reads only `created_at`.
    op.execute(
        "UPDATE appeal_messages SET created_at = greatest(created_at, merged_at) WHERE merged_at IS NOT NULL"
    )
    op.drop_column("refresh_tokens", "successor_key", if_exists=True)
    for table in ("publication_changes", "publications"):
        op.drop_column(table, "unreachable_since", if_exists=True)
    op.drop_column("replies", "mark_question", if_exists=True)
    op.drop_column("unread_appeals", "merge_ids", if_exists=True)
    op.drop_column("appeal_messages", "merged_at", if_exists=True)
