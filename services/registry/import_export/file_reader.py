"""The table of a registry file: its headings, recognised columns and rows, within limits."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from services.registry.import_export.columns import COLUMN_BY_FIELD, NAME_FIELD, field_of_heading
from shared.http.problems import Invalid
from shared.tabular.formula_escaping import unescaped
from shared.tabular.reader import (
    UnreadableTableError,
    choose_delimiter,
    csv_rows,
    decode_text,
    is_workbook,
)
from shared.tabular.workbook import workbook_rows

MAX_ROWS = 20_000
MAX_COLUMNS = 200
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
# The headings may be this far down: registries put titles above them.
MAX_HEADING_ROW = 20
_FILE = "The file"


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
    """Return the table in a CSV or XLSX file; the type is recognised by the content. Raises `Invalid` if there is
    none, if two columns have the same field, or if the file is too large.
    """
    try:
        lines = _filled(_narrowed(_rows(content)))
    except UnreadableTableError as error:
        raise Invalid.field("/", str(error)) from error
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
    """Return the non-empty rows; spreadsheets may contain thousands of empty ones."""
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


def _rows(content: bytes) -> Iterator[list[str]]:
    if is_workbook(content):
        return workbook_rows(content, _FILE, max_unpacked_bytes=MAX_UNPACKED_BYTES)
    text = decode_text(content, _FILE)
    return _csv(text, choose_delimiter(lambda delimiter: _recognised_headings(text, delimiter)))


def _csv(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv_rows(io.StringIO(text, newline=""), delimiter, _FILE)


def _recognised_headings(text: str, delimiter: str) -> int:
    rows = islice(_narrowed(_csv(text, delimiter)), MAX_HEADING_ROW)
    try:
        return max((sum(field_of_heading(cell) is not None for cell in row) for row in rows), default=0)
    except (Invalid, UnreadableTableError):
        return 0


def _narrowed(rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    for row in rows:
        if len(row) > MAX_COLUMNS and any(cell.strip() for cell in row[MAX_COLUMNS:]):
            raise Invalid.field("/", f"The file has more than {MAX_COLUMNS} columns")
        yield [unescaped(cell.strip()) for cell in row[:MAX_COLUMNS]]
