"""Bulk inserts: the new rows of a batch in one statement."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects.postgresql import Insert, insert

from shared.database.sessions import WriteSession
from shared.tables import Base

Row = TypeVar("Row", bound=Base)


def insert_into(table: type[Base]) -> Insert:
    """Return an INSERT that SQLAlchemy compiles once and does not map: values are given by column."""
    return insert(cast("Table", table.__table__))


async def insert_rows(
    session: WriteSession,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    skip_conflicts: bool = False,
    **computed: ColumnElement[Any],
) -> None:
    """Insert rows that all name the same columns; no rows are fine. The caller gives ids and times.

    With `skip_conflicts` a row that exists already is left as it is. `computed` are columns that the database
    computes for every row.
    """
    if rows:
        statement = insert_into(table).values(computed) if computed else insert_into(table)
        await session.execute(statement.on_conflict_do_nothing() if skip_conflicts else statement, rows)


async def insert_missing(
    session: WriteSession, table: type[Row], rows: Sequence[Mapping[str, Any]]
) -> Sequence[Row]:
    """Insert the rows that conflict with no other, and return them as objects of the session, in any order.

    All rows name the same columns. Their values come back with the INSERT, so that changes of the objects are
    flushed without another read.
    """
    if not rows:
        return []
    inserted = await session.scalars(
        insert(table).on_conflict_do_nothing().returning(table),
        rows,
        # Otherwise rows with other columns empty would need statements of their own.
        execution_options={"render_nulls": True},
    )
    return inserted.all()
