"""Renames in place, for migrations that run while the services are stopped."""

from collections.abc import Mapping

from alembic import op


def rename(statement: str) -> None:
    """Run a statement that renames something.

    squawk reports renames, because services of the previous version would fail. Those services are stopped.
    """
    op.execute(f"-- squawk-ignore renaming-table, renaming-column, renaming-object\n{statement}")


def lift_statement_timeout() -> None:
    """Let the statements of this migration rewrite large tables without a time limit: the services are stopped."""
    op.execute("SET LOCAL statement_timeout = 0")


def inverse(names: Mapping[str, str]) -> dict[str, str]:
    """Return new → old, last first: a name that one rename frees may be taken by the next."""
    return {new: old for old, new in reversed(list(names.items()))}
