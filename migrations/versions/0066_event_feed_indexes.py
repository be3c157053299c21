"""Index the events of an organisation and of a type: the feed finds few events among many."""

from collections.abc import Sequence

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0066"
down_revision: str | None = "0065"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_NUMBERED = "position IS NOT NULL"


def upgrade() -> None:
    create_index_concurrently(
        "ix_events_organisation_id", "events", ["organisation_id", "position"], where=_NUMBERED
    )
    create_index_concurrently("ix_events_type", "events", ["type", "position"], where=_NUMBERED)


def downgrade() -> None:
    drop_index_concurrently("ix_events_type", "events")
    drop_index_concurrently("ix_events_organisation_id", "events")
