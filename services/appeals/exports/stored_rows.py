"""Rows of an export as its parts keep them, and as its author may see them when the file is read."""

import json
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.exports.columns import HEADINGS, Cell, cells
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.contracts.erasures import ERASED_TEXT
from shared.database.sessions import Database
from shared.http.problems import NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_exports import AppealExport, AppealExportPart

# What cells of an erased appeal contain instead, by number.
_ERASED: Mapping[int, Cell] = {
    HEADINGS.index(heading): ERASED_TEXT if heading == "Текст" else None
    for heading in ("Место", "Метки", "Текст", "Ссылка")
}


@dataclass(frozen=True)
class StoredRow:
    """The cells of an appeal."""

    appeal_id: UUID
    cells: Sequence[Cell]


def encode(rows: Sequence[SimpleNamespace]) -> bytes:
    """Return the cells of rows of the list, masked, as a part keeps them."""
    found = [[str(row.id), [_to_json(cell) for cell in cells(row)]] for row in rows]
    return zlib.compress(json.dumps(found, ensure_ascii=False).encode())


def decode(stored: bytes) -> list[StoredRow]:
    """Return the rows of a part."""
    found = json.loads(zlib.decompress(stored))
    return [StoredRow(UUID(appeal_id), [_from_json(cell) for cell in row]) for appeal_id, row in found]


def _to_json(cell: Cell) -> Any:
    return [cell.isoformat()] if isinstance(cell, datetime) else cell


def _from_json(cell: Any) -> Cell:
    return datetime.fromisoformat(cell[0]) if isinstance(cell, list) else cell


def cells_of(row: StoredRow) -> Sequence[Cell]:
    """Return the cells of a stored row."""
    return row.cells


async def visible_ids(session: AsyncSession, caller: Caller, export: AppealExport) -> list[UUID]:
    """Return the appeals of the export that the caller may read now."""
    named = select(func.unnest(AppealExportPart.appeal_ids)).where(AppealExportPart.export_id == export.id)
    rows = await session.scalars(
        select(Appeal.id).where(Appeal.id.in_(named), caller.scope(Appeal.organisation_id))
    )
    return list(rows)


async def count_parts(session: AsyncSession, export: AppealExport) -> int:
    """Return how many parts the export has."""
    count = select(func.count()).where(AppealExportPart.export_id == export.id)
    return await session.scalar(count) or 0


async def pages(
    database: Database, caller: Caller, export_id: UUID, parts: int
) -> AsyncIterator[Sequence[StoredRow]]:
    """Yield the rows of an export of so many parts, part by part, without those that the caller may not read now.

    What the erasure of a citizen's data empties in an appeal is left out. Raises `Unauthenticated` when the caller
    has lost the access that the token names, and `NotFound` when the export was deleted, also between two parts:
    the connection breaks, so that nobody takes the file for a whole one.
    """
    for number in range(parts):
        async with database.read() as session:
            if not await token_recheck.callers_with_access(session, [caller]):
                raise token_recheck.access_changed()
            part = await session.get(AppealExportPart, (export_id, number))
            if part is None:
                raise NotFound("The export was deleted while it was read")
            rows = await session.execute(
                select(Appeal.id, Appeal.erased_at).where(
                    Appeal.id.in_(part.appeal_ids), caller.scope(Appeal.organisation_id)
                )
            )
            erased = {row.id: row.erased_at is not None for row in rows}
            stored = part.rows
        if stored is not None:
            yield [_as_now(row, erased=erased[row.appeal_id]) for row in decode(stored) if row.appeal_id in erased]


def _as_now(row: StoredRow, *, erased: bool) -> StoredRow:
    # An erasure deletes the exports that it finds. One that was requested at the same moment is not among them,
    # and its job may have read the words before they were erased.
    if not erased:
        return row
    return StoredRow(row.appeal_id, [_ERASED.get(number, cell) for number, cell in enumerate(row.cells)])
