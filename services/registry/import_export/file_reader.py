"""Tables of text from files: CSV in the dialects that spreadsheets write, and XLSX."""

import codecs
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from typing import Any

import openpyxl

from services.registry.import_export.columns import COLUMN_BY_FIELD, NAME_FIELD, field_of_heading
from shared.http.problems import Invalid
from shared.tabular.formula_escaping import unescaped

MAX_ROWS = 20_000
MAX_COLUMNS = 200
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
# Registries may put a title above the headings.
MAX_HEADING_ROW = 20
_SPREADSHEET = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file; `number` is the row number that spreadsheets show."""

    number: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class FileTable:
    """The rows of a file below its headings; `columns` are the recognised fields with their column indexes."""

    heading: FileRow
    columns: dict[str, int]
    ignored: list[str]
    rows: list[FileRow]


def read_table(content: bytes) -> FileTable:
    """Return the table in a CSV or XLSX file, recognised by content. Raise `Invalid` when there is none."""
    rows = _spreadsheet(content) if content.startswith(_SPREADSHEET) else _text(content)
    lines = _filled(rows)
    heading = _heading(lines)
    below = [line for line in lines if line.number > heading.number]
    columns: dict[str, int] = {}
    ignored: list[str] = []
    for index, title in enumerate(heading.cells):
        field = field_of_heading(title)
        if field is None:
            ignored += [title] if title else []
        elif field in columns:
            raise Invalid.field(
                "/", f"The columns «{heading.cells[columns[field]]}» and «{title}» name the same field"
            )
        else:
            columns[field] = index
    return FileTable(heading, columns, ignored, below)


def _filled(rows: Iterable[Sequence[str]]) -> list[FileRow]:
    """Return the rows that are not empty; spreadsheets add empty ones by the thousand."""
    lines = []
    for number, cells in enumerate(rows, 1):
        if any(cells):
            lines.append(FileRow(number, cells))
        if len(lines) > MAX_ROWS:
            raise Invalid.field("/", f"The file has more than {MAX_ROWS} rows")
    return lines


def _heading(lines: Sequence[FileRow]) -> FileRow:
    for line in lines[:MAX_HEADING_ROW]:
        if any(field_of_heading(cell) == NAME_FIELD for cell in line.cells):
            return line
    seen = ", ".join(f"«{cell[:50]}»" for cell in lines[0].cells if cell)[:500] if lines else "nothing"
    column = COLUMN_BY_FIELD[NAME_FIELD]
    raise Invalid.field(
        "/",
        f"There is no column «{column.title}» (or `{column.field}`); the first row that is not empty has {seen}",
    )


def _text(content: bytes) -> Iterator[list[str]]:
    text = _decoded(content)
    delimiter = max((",", ";", "\t"), key=lambda one: _recognised(islice(_records(text, one), MAX_HEADING_ROW)))
    return _records(text, delimiter)


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Russian spreadsheets save CSV in this encoding by default.
        return content.decode("cp1251", errors="replace")


def _recognised(rows: Iterable[Sequence[str]]) -> int:
    try:
        return max((sum(field_of_heading(cell) is not None for cell in row) for row in rows), default=0)
    except Invalid:
        return 0


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield [unescaped(cell.strip()) for cell in _narrow(row)]
    except csv.Error as error:
        raise Invalid.field("/", f"The file is not valid CSV: line {reader.line_num}: {error}") from error


def _narrow(row: list[str]) -> list[str]:
    if len(row) > MAX_COLUMNS and any(cell.strip() for cell in row[MAX_COLUMNS:]):
        raise Invalid.field("/", f"The file has more than {MAX_COLUMNS} columns")
    return row[:MAX_COLUMNS]


def _spreadsheet(content: bytes) -> Iterator[list[str]]:
    try:
        _check_size(content)
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        # The dimensions that the file states may be wrong.
        sheet.reset_dimensions()
        for row in sheet.iter_rows(values_only=True):
            yield [unescaped(cell) for cell in _narrow([_cell(value) for value in _trimmed(row)])]
    except Invalid:
        raise
    except Exception as error:  # openpyxl raises many unrelated exceptions on broken files
        raise Invalid.field("/", f"The file is not a readable XLSX: {type(error).__name__}") from error


def _trimmed(row: Sequence[Any]) -> Sequence[Any]:
    """Return the row without trailing empty cells."""
    return row[: next((place for place in range(len(row), 0, -1) if row[place - 1] is not None), 0)]


def _check_size(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise Invalid.field("/", f"The file unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MiB")


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
