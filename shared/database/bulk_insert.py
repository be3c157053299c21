"""Rows written in bulk: a batch's worth of new ones, in one statement, without mapped objects."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Insert, insert

from shared.database.sessions import WriteSession
from shared.tables import Base


def insert_into(table: type[Base]) -> Insert:
    """An INSERT that SQLAlchemy compiles once and does not map: values are given by column."""
    return insert(cast("Table", table.__table__))


async def insert_rows(session: WriteSession, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns; none is fine. Ids and times are the caller's to give."""
    if rows:
        await session.execute(insert_into(table), rows)
