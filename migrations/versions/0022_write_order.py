"""Order events and audit rows by a sequence instead of the clocks of the machines that write them.

Earlier rows have no `write_order` and come first. `feed_epochs` stores which server numbered the events.
"""

from collections.abc import Sequence

from alembic import op

from migrations.indexes import create_index_concurrently, drop_index_concurrently

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = ("events", "audit")
EVERYONE = ", ".join(f"gospablik_{name}" for name in ("registry", "ingest", "appeals", "metrics", "webhooks"))


def upgrade() -> None:
    # The index builds below commit the statements before them: each must be safe to run again.
    op.execute("CREATE SEQUENCE IF NOT EXISTS write_order_seq")
    op.execute(f"GRANT USAGE ON SEQUENCE write_order_seq TO {EVERYONE}")
    for table in TABLES:
        # Set the default separately: together with the column it would rewrite the table.
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS write_order bigint")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN write_order SET DEFAULT nextval('write_order_seq')")
    op.execute(
        "CREATE TABLE IF NOT EXISTS feed_epochs (epoch bigint PRIMARY KEY, server text NOT NULL,"
        " created_at timestamptz NOT NULL)"
    )
    op.execute(f"GRANT SELECT, INSERT ON feed_epochs TO {EVERYONE}")
    for table in TABLES:
        create_index_concurrently(
            f"ix_{table}_waiting", table, ["write_order", "created_at", "id"], where="position IS NULL"
        )
        drop_index_concurrently(f"ix_{table}_unnumbered", table)


def downgrade() -> None:
    for table in TABLES:
        create_index_concurrently(f"ix_{table}_unnumbered", table, ["created_at", "id"], where="position IS NULL")
        drop_index_concurrently(f"ix_{table}_waiting", table)
        op.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS write_order")
    op.execute("DROP SEQUENCE IF EXISTS write_order_seq")
    op.execute("DROP TABLE IF EXISTS feed_epochs")
