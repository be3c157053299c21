"""Files of exported rows: CSV, which is streamed, and a workbook for spreadsheet programs."""

# ruff: noqa: PLC0415 - openpyxl loads Pillow: 7 MB in each process, and most processes never write a workbook

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from services.appeals.exports.columns import Cell
from services.appeals.exports.layouts import LIST, Layout
from shared.tabular.writer import csv_bytes
from shared.text.xml_characters import without_forbidden

Pages = AsyncIterator[Sequence[Any]]
# Function that returns the cells of a row.
CellsOf = Callable[[Any], Sequence[Cell]]
CSV_MEDIA_TYPE = "text/csv"
XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Masking the texts of a file occupies a CPU core: more files at once would slow other requests down.
_AT_ONCE = asyncio.Semaphore(2)
# Excel refuses a file with a longer cell: the limit is 32,767 UTF-16 code units.
MAX_CELL_BYTES = 2 * 32_767
_MOMENT = "DD.MM.YYYY HH:MM"
_IN_MEMORY = 4 * 1024 * 1024
_CHUNK = 64 * 1024


async def csv_stream(pages: Pages, layout: Layout = LIST, cells_of: CellsOf | None = None) -> AsyncIterator[bytes]:
    """Yield a CSV file in UTF-8, page by page, with times in the region's time zone. `cells_of` returns the cells
    of a row; by default that of the layout, for rows of the list.
    """
    yield csv_bytes([layout.headings], with_mark=True)
    async for rows in pages:
        # The semaphore is not held while a slow client reads.
        async with _AT_ONCE:
            chunk = await asyncio.to_thread(_csv_rows, rows, cells_of or layout.cells)
        yield chunk


def _csv_rows(rows: Sequence[Any], cells_of: CellsOf) -> bytes:
    return csv_bytes([[_as_text(cell) for cell in cells_of(row)] for row in rows])


def _as_text(cell: Cell) -> Cell:
    return f"{cell:%d.%m.%Y %H:%M}" if isinstance(cell, datetime) else cell


async def xlsx_stream(
    pages: Pages, layout: Layout = LIST, cells_of: CellsOf | None = None
) -> AsyncIterator[bytes]:
    """Yield a workbook in chunks once it is complete: one sheet with typed cells, and a frozen heading with a
    filter. `cells_of` as in `csv_stream`.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        async with _AT_ONCE:
            await _write_workbook(pages, file, layout, cells_of or layout.cells)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


async def _write_workbook(pages: Pages, file: Any, layout: Layout, cells_of: CellsOf) -> None:
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    workbook = Workbook(write_only=True)
    sheet: Any = workbook.create_sheet("Обращения")
    try:
        sheet.freeze_panes = "C2"
        for number, column in enumerate(layout.columns, 1):
            sheet.column_dimensions[get_column_letter(number)].width = column.width
        sheet.append([_cell(sheet, heading, bold=True) for heading in layout.headings])
        count = 0
        async for rows in pages:
            await asyncio.to_thread(_append, sheet, rows, cells_of)
            count += len(rows)
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(layout.columns))}{count + 1}"
    except BaseException:
        # Raised for example when the client disconnects. The rows are in a temporary file that otherwise only
        # `save` removes.
        sheet.close()
        sheet._writer.cleanup()
        raise
    await asyncio.to_thread(workbook.save, file)


def _append(sheet: Any, rows: Sequence[Any], cells_of: CellsOf) -> None:
    for row in rows:
        sheet.append([_cell(sheet, cell) for cell in cells_of(row)])


def _cell(sheet: Any, value: Cell, *, bold: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    if value is None:
        return None
    if isinstance(value, str):
        value = without_forbidden(value).encode("utf-16-le")[:MAX_CELL_BYTES].decode("utf-16-le", "ignore")
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        # A text that begins with = must not become a formula.
        cell.data_type = "s"
    if isinstance(value, datetime):
        cell.number_format = _MOMENT
    if bold:
        cell.font = Font(bold=True)
    return cell
