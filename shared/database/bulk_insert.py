"""Bulk inserts: the new rows of a batch in one statement."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Table, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.orm import raiseload
from sqlalchemy.sql.selectable import ExecutableReturnsRows
from sqlalchemy.types import TypeEngine

from shared.database.sessions import WriteSession
from shared.tables import Base

Row = TypeVar("Row", bound=Base)


def insert_into(table: type[Base]) -> Insert:
    """Return an INSERT that SQLAlchemy compiles once and does not map to objects: values are given by column."""
    return insert(cast("Table", table.__table__))


def insert_arrays(
    table: type[Base],
    columns: Sequence[str],
    *,
    types: Mapping[str, TypeEngine[Any]] | None = None,
    computed: Mapping[str, ColumnElement[Any]] | None = None,
) -> Insert:
    """Return an INSERT whose parameters are `arrays_of` the rows: one execution for all rows takes the database
    much less time than one for each. `types` replace the types of columns; `computed` are columns that the
    database computes for every row.

    No column may be an array, because `unnest` takes nested arrays apart.
    """
    computed = computed or {}
    of_columns = table.__table__.columns
    item_types = {name: (types or {}).get(name, of_columns[name].type) for name in columns}
    arrays = [bindparam(name, type_=ARRAY(item_types[name], dimensions=1)) for name in columns]
    rows = func.unnest(*arrays).table_valued(*columns).render_derived("rows")
    query = select(*(rows.c[name] for name in columns), *computed.values())
    return insert_into(table).from_select([*columns, *computed], query)


def arrays_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Return the parameters of `insert_arrays`: the values of each column, in the order of the rows.

    Raise `ValueError` if a row has another column; `KeyError` if it lacks one.
    """
    if any(len(row) != len(columns) for row in rows):
        raise ValueError(f"Not all rows have the columns {', '.join(columns)}, and only these")
    return {name: [row[name] for row in rows] for name in columns}


async def insert_rows(
    session: WriteSession,
    table: type[Base],
    rows: Sequence[Mapping[str, Any]],
    *,
    skip_conflicts: bool = False,
    **computed: ColumnElement[Any],
) -> None:
    """Insert rows that all have the same columns; the list may be empty. The caller sets ids and times: a default
    that is computed in Python would be the same for all rows.

    With `skip_conflicts` an existing row stays unchanged. `computed` are columns that the database
    computes for every row.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    if any(isinstance(table.__table__.columns[name].type, ARRAY) for name in columns):
        statement = insert_into(table).values(computed) if computed else insert_into(table)
        await session.execute(statement.on_conflict_do_nothing() if skip_conflicts else statement, rows)
        return
    statement = insert_arrays(table, columns, computed=computed) if computed else _arrays_insert(table, columns)
    await session.execute(
        statement.on_conflict_do_nothing() if skip_conflicts else statement, arrays_of(rows, columns)
    )


async def insert_missing(
    session: WriteSession, table: type[Row], rows: Sequence[Mapping[str, Any]]
) -> Sequence[Row]:
    """Insert the rows that conflict with no existing row; return these as session objects, unordered.

    All rows have the same columns. The INSERT returns their values, so that changes of the objects are
    flushed without another read; relations are not loaded.
    """
    if not rows:
        return []
    columns = tuple(rows[0])
    inserted = await session.scalars(_insert_missing(table, columns), arrays_of(rows, columns))
    return cast("Sequence[Row]", inserted.all())


# Built once for each table and its columns: building a statement takes longer than executing it.
@cache
def _arrays_insert(table: type[Base], columns: tuple[str, ...]) -> Insert:
    return insert_arrays(table, columns)


@cache
def _insert_missing(table: type[Base], columns: tuple[str, ...]) -> ExecutableReturnsRows:
    statement = insert_arrays(table, columns).on_conflict_do_nothing().returning(table)
    return select(table).from_statement(statement).options(raiseload("*"))
