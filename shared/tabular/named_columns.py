"""Tables from CSV files, with columns addressed by name.

Column names are compared without case, «ё» or extra spaces: `текст инцидента` finds «Текст инцидента». Rows are
numbered from 1, without the header and blank lines.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from shared.tabular.reader import (
    InvalidCsvError,
    UnreadableTableError,
    choose_delimiter,
    csv_rows,
    detect_encoding,
    is_workbook,
)
from shared.text.normalize import fold_text

_QUOTED = re.compile(r'"[^"]*"?')


@dataclass(frozen=True)
class TableHeader:
    """The name of a file and its column names as written."""

    file: str
    columns: tuple[str, ...]

    def find_column(self, wanted: str) -> int | None:
        """Return the index of the named column, or None. Raise `UnreadableTableError` when several have the
        name.
        """
        if self.columns.count(wanted) == 1:
            return self.columns.index(wanted)
        found = [at for at, name in enumerate(self.columns) if _folded(name) == _folded(wanted)]
        if len(found) > 1:
            raise UnreadableTableError(f"{self.file}: {len(found)} columns are called «{wanted}»")
        return found[0] if found else None

    def column_index(self, wanted: str) -> int:
        """Return the index of the named column. Raise `UnreadableTableError` when none or several have the
        name.
        """
        found = self.find_column(wanted)
        if found is None:
            raise UnreadableTableError(
                f"{self.file}: the column «{wanted}» is missing; the file has: {', '.join(self.columns)}"
            )
        return found


@dataclass(frozen=True)
class LoadedTable(TableHeader):
    """A loaded file; every row has as many cells as there are columns."""

    rows: list[list[str]]


@dataclass(frozen=True)
class TableStream(TableHeader):
    """A file that is read row by row; a row has as many cells as there are columns, or none for a blank line.

    Iterating `rows` raises `UnreadableTableError` for invalid CSV and for too few or too many cells.
    """

    rows: Iterator[list[str]]


def _folded(name: str) -> str:
    return " ".join(fold_text(name).split())


def read_table(path: Path) -> LoadedTable:
    """Return a whole file, without blank lines.

    Raise `UnreadableTableError` for a file that is missing, has no rows, or has a row with too few or too many
    cells.
    """
    with open_table(path) as flow:
        rows = [row for row in flow.rows if row]
    if not rows:
        raise UnreadableTableError(f"{flow.file} has no rows below its header")
    return LoadedTable(flow.file, flow.columns, rows)


@contextmanager
def open_table(path: Path) -> Iterator[TableStream]:
    """Open a file to be read row by row, however large: UTF-8, UTF-16 or Windows-1251, separated by commas,
    semicolons or tabs.

    Raise `UnreadableTableError` for a file that is missing or empty.
    """
    try:
        opened = path.open("rb")
    except OSError as error:
        raise UnreadableTableError(f"{path.name} cannot be read: {error.strerror}") from error
    with opened:
        raw: BinaryIO = opened if opened.seekable() else io.BytesIO(opened.read())
        if is_workbook(raw.read(4)):
            raise UnreadableTableError(f"{path.name} is a workbook or an archive: save the table as CSV")
        encoding = detect_encoding(raw, path.name)
        raw.seek(0)
        lines = io.TextIOWrapper(raw, encoding, newline="")
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise UnreadableTableError(f"{path.name} is empty")
        bare = _QUOTED.sub("", re.split(r"[\r\n]", first, maxsplit=1)[0])
        rows = csv_rows(chain([first], lines), choose_delimiter(bare.count), path.name)
        try:
            columns = next(rows)
        except InvalidCsvError as error:
            raise UnreadableTableError(f"{path.name}: the header is not valid CSV: {error.reason}") from error
        yield TableStream(path.name, tuple(columns), _full_rows(rows, len(columns), path.name))


def _full_rows(rows: Iterator[list[str]], width: int, file: str) -> Iterator[list[str]]:
    number = 0
    try:
        for row in rows:
            if not row:
                yield row
                continue
            number += 1
            if len(row) == 1 and not row[0].strip():
                # The csv module yields a row for a line of spaces.
                yield row + [""] * (width - 1)
            elif len(row) != width:
                raise UnreadableTableError(f"{file}: row {number} has {len(row)} cells, the header has {width}")
            else:
                yield row
    except InvalidCsvError as error:
        raise UnreadableTableError(f"{file}: row {number + 1} is not valid CSV: {error.reason}") from error
