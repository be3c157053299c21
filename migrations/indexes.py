"""Indexes of tables that are large in a running installation, built while services read and write them.

Call these before anything else that a migration does, or in a migration of their own: each commits what was done
before it, so a migration that is ended in the middle must be able to start again from its first line.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

# How long a statement of a migration waits for a lock, and how long it may run: whoever wants a table
# while a migration waits for it waits behind the migration. Index builds hold no lock that matters to services,
# wait for every older transaction and take as long as the table is large: neither limit is for them.
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
    """Build an index outside of a transaction, unless it is there; what a killed build left is dropped first."""
    with op.get_context().autocommit_block():
        _set(dict.fromkeys(TIMEOUTS, "0"))
        if _broken(name):
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
    """Drop an index outside of a transaction, unless it is gone; readers are waited for, not stopped."""
    with op.get_context().autocommit_block():
        _set(dict.fromkeys(TIMEOUTS, "0"))
        op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
        _set(TIMEOUTS)


def _broken(name: str) -> bool:
    valid = op.get_bind().scalar(
        sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": name}
    )
    return valid is False


def _set(timeouts: Mapping[str, str]) -> None:
    for name, value in timeouts.items():
        op.execute(f"SET {name} = '{value}'")
