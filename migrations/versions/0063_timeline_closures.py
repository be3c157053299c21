"""Index closures in the timeline by time: reports on a past week include appeals that were reopened since."""

from collections.abc import Sequence

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0063"
down_revision: str | None = "0062"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX = "ix_timeline_closures"


def upgrade() -> None:
    create_index_concurrently(_INDEX, "timeline", ["at"], where="kind = 'moved' AND data ->> 'to' = 'closed'")


def downgrade() -> None:
    drop_index_concurrently(_INDEX, "timeline")
