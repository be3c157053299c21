"""Reader and writer of workbooks (XLSX)."""

# ruff: noqa: PLC0415 - openpyxl loads numpy and Pillow, 18 MB in each process, and most processes never read a workbook

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any

from shared.tabular.formula_escaping import escaped, unescaped
from shared.tabular.reader import UnreadableTableError

# The maximum number of rows of a sheet in spreadsheet programs.
MAX_SHEET_ROWS = 1_048_576
# Empty cells before those in the file are counted too.
MAX_SHEET_CELLS = 20_000_000


def workbook_rows(content: bytes, file: str, *, max_unpacked_bytes: int) -> Iterator[list[str]]:
    """Yield the rows of the first sheet of a workbook as text, without the empty cells at their ends.

    Raise `UnreadableTableError` if the file is not a workbook, or unpacks to more than `max_unpacked_bytes`,
    or its first sheet is too large.
    """
    import openpyxl

    try:
        _check_size(content, file, max_unpacked_bytes)
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        # Ignore the dimensions stated in the file, which may be wrong.
        sheet.reset_dimensions()
        for row in _limited(sheet.iter_rows(values_only=True), file):
            yield [_cell(value) for value in _trimmed(row)]
    except UnreadableTableError:
        raise
    except Exception as error:  # openpyxl raises many unrelated exceptions on broken files
        raise UnreadableTableError(f"{file} is not a readable XLSX: {type(error).__name__}") from error


def _limited(rows: Iterable[Sequence[Any]], file: str) -> Iterator[Sequence[Any]]:
    """Yield the rows. Raise `UnreadableTableError` beyond the limits.

    A cell with a high row or column number makes the reader produce all empty cells before it, which takes time.
    """
    cells = 0
    for number, row in enumerate(rows, 1):
        cells += len(row)
        if number > MAX_SHEET_ROWS or cells > MAX_SHEET_CELLS:
            raise UnreadableTableError(
                f"{file} is too large: a sheet has at most {MAX_SHEET_ROWS} rows and {MAX_SHEET_CELLS} cells, "
                "including empty ones"
            )
        yield row


def _trimmed(row: Sequence[Any]) -> Sequence[Any]:
    """Return the row without trailing empty cells."""
    return row[: next((index for index in range(len(row), 0, -1) if row[index - 1] is not None), 0)]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value).strip()


def _check_size(content: bytes, file: str, max_unpacked_bytes: int) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max_unpacked_bytes:
        raise UnreadableTableError(f"{file} unpacks to more than {max_unpacked_bytes // 2**20} MiB")


def workbook_bytes(rows: Iterable[Sequence[str]], *, sheet_title: str) -> bytes:
    """Return the rows as a workbook (XLSX) with one sheet. All cells are text: numbers keep leading zeros."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(sheet_title)
    sheet.freeze_panes = "A2"
    for row in rows:
        sheet.append([_text_cell(sheet, text) for text in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _text_cell(sheet: Any, text: str) -> Any:
    if not text:
        return None
    from openpyxl.cell import WriteOnlyCell

    # A text cell runs no formula; an apostrophe is doubled only if the import would remove it.
    cell = WriteOnlyCell(sheet, text if unescaped(text) == text else escaped(text))
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
