"""Bulk insert of made-up rows with COPY."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON

from shared.tables.all_tables import Base


@dataclass
class RowWriter:
    """Collects rows by table and inserts them with COPY."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, table: str, **values: Any) -> dict[str, Any]:
        """Add a row, completed with the defaults of the columns; return it."""
        row = _completed(Base.metadata.tables[table], values)
        self.rows[table].append(row)
        return row

    def add_object(self, found: Base) -> None:
        """Add the row of an ORM object that belongs to no session; unset columns get their defaults."""
        columns = found.__table__.columns.keys()
        values = {name: value for name, value in vars(found).items() if name in columns}
        self.add(found.__tablename__, **values)

    async def write(self, connection: asyncpg.Connection) -> None:
        """Insert the rows; tables come after the tables that they refer to."""
        for table in Base.metadata.sorted_tables:
            rows = self.rows.pop(table.name, None)
            if not rows:
                continue
            columns = [column for column in table.columns if column.name in rows[0]]
            records = [tuple(_stored(column, row[column.name]) for column in columns) for row in rows]
            await connection.copy_records_to_table(
                table.name, records=records, columns=[column.name for column in columns]
            )


def _completed(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    row = {}
    for column in table.columns:
        if column.name in values:
            row[column.name] = values[column.name]
        elif column.default is not None and not column.default.is_sequence:
            argument = column.default.arg  # type: ignore[attr-defined]
            row[column.name] = argument(None) if callable(argument) else argument
        elif column.nullable:
            row[column.name] = None
    return row


def _stored(column: Any, value: Any) -> Any:
    return json.dumps(value) if isinstance(column.type, JSONB | JSON) and value is not None else value
