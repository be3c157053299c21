"""Writer of CSV files in which no cell runs as a formula."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from shared.tabular.formula_escaping import escaped

# Without a byte order mark spreadsheets misread Cyrillic.
BYTE_ORDER_MARK = "\ufeff"
CHUNK_ROWS = 500


class _TextOut(Protocol):
    def write(self, text: str, /) -> object: ...


class CsvWriter:
    """Writes rows to a text stream. None becomes an empty cell, a row without cells a blank line."""

    def __init__(
        self, out: _TextOut, *, line_end: str = "\r\n", make_safe: Callable[[str], str] = escaped
    ) -> None:
        self._make_safe = make_safe
        self._writer = csv.writer(out, lineterminator=line_end)
        # Before Python 3.13 a lone carriage return is not quoted, and readers take it as the end of the row.
        self._quoting = csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL)

    def write_row(self, cells: Sequence[object]) -> None:
        """Write one row; text that a spreadsheet might run as a formula is made safe."""
        row = [self._make_safe(cell) if isinstance(cell, str) else cell for cell in cells]
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (self._quoting if has_return else self._writer).writerow(row)


def csv_bytes(rows: Iterable[Sequence[object]], *, with_mark: bool = False) -> bytes:
    """Return the rows as CSV in UTF-8, with a byte order mark on request."""
    table = io.StringIO()
    writer = CsvWriter(table)
    for row in rows:
        writer.write_row(row)
    return ((BYTE_ORDER_MARK if with_mark else "") + table.getvalue()).encode()


def csv_chunks(rows: Iterator[Sequence[object]]) -> Iterator[bytes]:
    """Yield the rows as CSV in UTF-8 with a byte order mark, in chunks."""
    table = io.StringIO(BYTE_ORDER_MARK)
    table.seek(0, io.SEEK_END)
    writer = CsvWriter(table)
    for number, row in enumerate(rows, 1):
        writer.write_row(row)
        if number % CHUNK_ROWS == 0:
            yield table.getvalue().encode()
            table.seek(0)
            table.truncate()
    yield table.getvalue().encode()
