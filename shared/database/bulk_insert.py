"""Bulk inserts: the new rows of a batch in one statement."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import raiseload

from shared.database.sessions import WriteSession
from shared.tables import Base

Row = TypeVar("Row", bound=Base)


def insert_into(table: type[Base]) -> Insert:
    """Return an INSERT that SQLAlchemy compiles once and does not map to objects: values are given by column."""
    return insert(cast("Table", table.__table__))


async def insert_rows(
    session: WriteSession,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    skip_conflicts: bool = False,
    **computed: ColumnElement[Any],
) -> None:
    """Insert rows that all have the same columns; the list may be empty. The caller sets ids and times.

    With `skip_conflicts` an existing row stays unchanged. `computed` are columns that the database
    computes for every row.
    """
    if rows:
        statement = insert_into(table).values(computed) if computed else insert_into(table)
        await session.execute(statement.on_conflict_do_nothing() if skip_conflicts else statement, rows)


async def insert_missing(
    session: WriteSession, table: type[Row], rows: Sequence[Mapping[str, Any]]
) -> Sequence[Row]:
    """Insert the rows that conflict with no existing row; return these as session objects, unordered.

    All rows have the same columns. The INSERT returns their values, so that changes of the objects are
    flushed without another read; relations are not loaded.
    """
    if not rows:
        return []
    inserted = await session.scalars(
        insert(table).on_conflict_do_nothing().returning(table).options(raiseload("*")),
        rows,
        # Write None explicitly: otherwise rows with different empty columns would need separate statements.
        execution_options={"render_nulls": True},
    )
    return inserted.all()
