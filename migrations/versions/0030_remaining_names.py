"""Rename the tables of consumer offsets, two columns and a consumer to the glossary's words.

The services are stopped meanwhile: the previous version uses only the former names. Every row stays. Audit rows
are never changed.
"""

from collections.abc import Sequence

from alembic import op

from migrations.renames import rename

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# These tables hold offsets in the events. A cursor is how far a source is read, or where a list continues.
TABLES = {f"{service}_cursors": f"{service}_consumer_offsets" for service in ("ingest", "appeals", "webhooks")}
# Table, column → its new name.
COLUMNS = {
    ("sign_in_failures", "blocked_until"): "throttled_until",
    # As the API names the field.
    ("network_tokens", "method_limits"): "limited_methods",
}
CONSUMERS = {"gathering": "clustering"}


def upgrade() -> None:
    for old, new in TABLES.items():
        _rename_table(old, new)
    for (table, old), new in COLUMNS.items():
        rename(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for old, new in CONSUMERS.items():
        _rename_consumer(old, new)


def downgrade() -> None:
    for old, new in CONSUMERS.items():
        _rename_consumer(new, old)
    for (table, old), new in COLUMNS.items():
        rename(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
    for old, new in TABLES.items():
        _rename_table(new, old)


def _rename_table(old: str, new: str) -> None:
    rename(f"ALTER TABLE {old} RENAME TO {new}")
    rename(f"ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}")


def _rename_consumer(old: str, new: str) -> None:
    """Rename a consumer of appeals: its offset, and the jobs of its dead-lettered events."""
    op.execute(f"UPDATE appeals_consumer_offsets SET consumer = '{new}' WHERE consumer = '{old}'")
    op.execute(f"UPDATE appeals_jobs.pgqueuer SET entrypoint = 'event:{new}' WHERE entrypoint = 'event:{old}'")
