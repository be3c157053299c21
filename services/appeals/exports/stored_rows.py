"""Rows of an export as stored in its parts, and as its author may see them at the download."""

import json
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.exports.columns import Cell
from services.appeals.exports.layouts import Layout
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.database.sessions import Database
from shared.http.problems import NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_exports import AppealExport, AppealExportPart


@dataclass(frozen=True)
class StoredRow:
    """An exported appeal: its id and its cells."""

    appeal_id: UUID
    cells: Sequence[Cell]


def encode(rows: Sequence[SimpleNamespace], layout: Layout) -> bytes:
    """Return the masked cells of completed rows of the list in the form stored in a part."""
    found = [[str(row.id), [_to_json(cell) for cell in layout.cells(row)]] for row in rows]
    return zlib.compress(json.dumps(found, ensure_ascii=False).encode())


def decode(stored: bytes) -> list[StoredRow]:
    """Return the rows that are stored in a part."""
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
    """Return the ids of the export's appeals that the caller may read now."""
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
    database: Database, caller: Caller, export_id: UUID, parts: int, layout: Layout
) -> AsyncIterator[Sequence[StoredRow]]:
    """Yield the rows of an export with `parts` parts, part by part, without appeals that the caller may not read
    now. Cells of erased appeals are emptied. Raises `Unauthenticated` when the caller has lost the access that the
    token grants, and `NotFound` when the export was deleted, also between two parts: the response is then cut off,
    so that the file is not mistaken for a complete one.
    """
    for number in range(parts):
        async with database.read() as session:
            if not await token_recheck.callers_with_access(session, [caller]):
                raise token_recheck.access_changed()
            part = await session.get(AppealExportPart, (export_id, number))
            if part is None:
                raise NotFound("The export was deleted during the download: request a new one")
            rows = await session.execute(
                select(Appeal.id, Appeal.erased_at).where(
                    Appeal.id.in_(part.appeal_ids), caller.scope(Appeal.organisation_id)
                )
            )
            erased = {row.id: row.erased_at is not None for row in rows}
            stored = part.rows
        if stored is not None:
            yield [
                _as_now(row, layout, erased=erased[row.appeal_id])
                for row in decode(stored)
                if row.appeal_id in erased
            ]


def _as_now(row: StoredRow, layout: Layout, *, erased: bool) -> StoredRow:
    # An erasure deletes the exports that it finds. It does not see an export requested at the same moment, whose
    # job may have read the texts before they were erased.
    if not erased:
        return row
    return StoredRow(row.appeal_id, layout.erased_cells(row.cells))
