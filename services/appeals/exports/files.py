"""Files of exported rows: CSV, sent while it is read, and a workbook for spreadsheet programs."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from services.appeals.exports.columns import COLUMNS, HEADINGS, Cell, cells
from shared.tabular.writer import csv_bytes

Pages = AsyncIterator[list[SimpleNamespace]]
CSV_MEDIA_TYPE = "text/csv"
XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Excel refuses a file with a longer cell.
MAX_CELL = 32_000
_MOMENT = "DD.MM.YYYY HH:MM"
_IN_MEMORY = 4 * 1024 * 1024
_CHUNK = 64 * 1024


async def csv_stream(pages: Pages) -> AsyncIterator[bytes]:
    """Yield a CSV file in UTF-8, page by page; moments in the region's time."""
    yield csv_bytes([HEADINGS], with_mark=True)
    async for rows in pages:
        yield await asyncio.to_thread(_csv_rows, rows)


def _csv_rows(rows: Sequence[SimpleNamespace]) -> bytes:
    return csv_bytes([[_as_text(cell) for cell in cells(row)] for row in rows])


def _as_text(cell: Cell) -> Cell:
    return f"{cell:%d.%m.%Y %H:%M}" if isinstance(cell, datetime) else cell


async def xlsx_stream(pages: Pages) -> AsyncIterator[bytes]:
    """Yield a workbook with one sheet, once it is complete: typed cells, a frozen heading with a filter."""
    workbook = Workbook(write_only=True)
    sheet: Any = workbook.create_sheet("Обращения")
    sheet.freeze_panes = "C2"
    for number, column in enumerate(COLUMNS, 1):
        sheet.column_dimensions[get_column_letter(number)].width = column.width
    sheet.append([_cell(sheet, heading, bold=True) for heading in HEADINGS])
    count = 0
    async for rows in pages:
        await asyncio.to_thread(_append, sheet, rows)
        count += len(rows)
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{count + 1}"
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        await asyncio.to_thread(workbook.save, file)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def _append(sheet: Any, rows: Sequence[SimpleNamespace]) -> None:
    for row in rows:
        sheet.append([_cell(sheet, cell) for cell in cells(row)])


def _cell(sheet: Any, value: Cell, *, bold: bool = False) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        value = ILLEGAL_CHARACTERS_RE.sub(" ", value)[:MAX_CELL]
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        # A text that begins with = stays a text.
        cell.data_type = "s"
    if isinstance(value, datetime):
        cell.number_format = _MOMENT
    if bold:
        cell.font = Font(bold=True)
    return cell
