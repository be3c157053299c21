"""Build and drop indexes of large tables while services read and write them.

Call these first in a migration, or in a separate migration: each commits what was done before, so an
interrupted migration must be able to start again from its first line.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

# How long a statement of a migration waits for a lock, and how long it may run: while it waits for a table, all
# later statements on that table queue behind it. Concurrent index builds do not block services, wait for all older
# transactions and take time on a large table, so neither limit applies to them.
TIMEOUTS = {"lock_timeout": "5s", "statement_timeout": "5min"}


def create_index_concurrently(
    name: str,
    table: str,
    columns: Sequence[str | sa.TextClause],
    *,
    unique: bool = False,
    where: str | None = None,
    using: str | None = None,
    ops: Mapping[str, str] | None = None,
) -> None:
    """Build an index outside a transaction unless it exists; first drop an invalid one of an interrupted build."""
    with op.get_context().autocommit_block():
        _set(dict.fromkeys(TIMEOUTS, "0"))
        if _is_invalid(name):
            op.drop_index(name, table_name=table, postgresql_concurrently=True)
        op.create_index(
            name,
            table,
            columns,
            unique=unique,
            if_not_exists=True,
            postgresql_concurrently=True,
            postgresql_where=sa.text(where) if where else None,
            postgresql_using=using,
            postgresql_ops=dict(ops or {}),
        )
        _set(TIMEOUTS)


def drop_index_concurrently(name: str, table: str) -> None:
    """Drop an index outside a transaction if it exists; wait for its readers without blocking them."""
    with op.get_context().autocommit_block():
        _set(dict.fromkeys(TIMEOUTS, "0"))
        op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
        _set(TIMEOUTS)


def _is_invalid(name: str) -> bool:
    valid = op.get_bind().scalar(
        sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": name}
    )
    return valid is False


def _set(timeouts: Mapping[str, str]) -> None:
    for name, value in timeouts.items():
        op.execute(f"SET {name} = '{value}'")
