"""Reader of tables that organisations export: CSV of any office program, addressed by column names.

Column names are compared without case, «ё» or extra spaces: `текст инцидента` finds «Текст инцидента». Rows are
numbered from 1, without the header and blank lines.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from shared.text.normalize import fold_text

_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"?')
_WORKBOOK = b"PK\x03\x04"
_PIECE = 1 << 20
_AROUND = 1 << 15


class UnreadableTableError(ValueError):
    """The file cannot be used; the message names the file and the row or column."""


@dataclass(frozen=True)
class TableHeader:
    """The name of a file and its column names as written."""

    file: str
    columns: tuple[str, ...]

    def find_column(self, wanted: str) -> int | None:
        """Return the index of the named column, or None. Raises `UnreadableTableError` when several have the
        name.
        """
        if self.columns.count(wanted) == 1:
            return self.columns.index(wanted)
        found = [at for at, name in enumerate(self.columns) if _folded(name) == _folded(wanted)]
        if len(found) > 1:
            raise UnreadableTableError(f"{self.file}: {len(found)} columns are called «{wanted}»")
        return found[0] if found else None

    def column_index(self, wanted: str) -> int:
        """Return the index of the named column. Raises `UnreadableTableError` when none or several have the
        name.
        """
        found = self.find_column(wanted)
        if found is None:
            raise UnreadableTableError(
                f"{self.file}: the column «{wanted}» is missing; there are: {', '.join(self.columns)}"
            )
        return found


@dataclass(frozen=True)
class LoadedTable(TableHeader):
    """A loaded file: rows of as many cells as there are columns."""

    rows: list[list[str]]


@dataclass(frozen=True)
class TableStream(TableHeader):
    """A file that is read row by row: rows of as many cells as there are columns, and none for a blank line.

    Iterating `rows` raises `UnreadableTableError` for invalid CSV and for too few or too many cells.
    """

    rows: Iterator[list[str]]


def _folded(name: str) -> str:
    return " ".join(fold_text(name).split())


def read_table(path: Path) -> LoadedTable:
    """Load a whole file without blank lines.

    Raises `UnreadableTableError` for a file that is missing, has no rows, or has a row with too few or too many
    cells.
    """
    with open_table(path) as flow:
        rows = [row for row in flow.rows if row]
    if not rows:
        raise UnreadableTableError(f"{flow.file} has no rows below the names of its columns")
    return LoadedTable(flow.file, flow.columns, rows)


@contextmanager
def open_table(path: Path) -> Iterator[TableStream]:
    """Open a file to be read row by row, however large: UTF-8, UTF-16 or Windows-1251, separated by commas,
    semicolons or tabs.

    Raises `UnreadableTableError` for a file that is missing or empty.
    """
    try:
        opened = path.open("rb")
    except OSError as error:
        raise UnreadableTableError(f"{path.name} cannot be read: {error.strerror}") from error
    with opened:
        raw: BinaryIO = opened if opened.seekable() else io.BytesIO(opened.read())
        encoding = _encoding(raw, path.name)
        raw.seek(0)
        lines = io.TextIOWrapper(raw, encoding, newline="")
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise UnreadableTableError(f"{path.name} is empty")
        bare = _QUOTED.sub("", re.split(r"[\r\n]", first, maxsplit=1)[0])
        read = csv.reader(chain([first], lines), delimiter=max(_DELIMITERS, key=bare.count), strict=True)
        try:
            columns = next(read)
        except csv.Error as error:
            raise UnreadableTableError(f"{path.name}: the row of names is not CSV: {error}") from error
        yield TableStream(path.name, tuple(columns), _rows(read, len(columns), path.name))


def _rows(read: Iterator[list[str]], width: int, file: str) -> Iterator[list[str]]:
    number = 0
    try:
        for row in read:
            if not row:
                yield row
                continue
            number += 1
            if len(row) == 1 and not row[0].strip():
                # The csv module yields a row for a line of spaces.
                yield row + [""] * (width - 1)
            elif len(row) != width:
                raise UnreadableTableError(
                    f"{file}: row {number} has {len(row)} cells, the row of names has {width}"
                )
            else:
                yield row
    except csv.Error as error:
        raise UnreadableTableError(f"{file}: row {number + 1} is not CSV: {error}") from error


def _encoding(raw: BinaryIO, file: str) -> str:
    start = raw.read(len(_WORKBOOK))
    if start == _WORKBOOK:
        raise UnreadableTableError(f"{file} is a workbook or an archive: save the table as CSV")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings: tuple[str, ...] = ("utf-16",)
    elif b"\0" in start[:2]:
        encodings = ("utf-16-be" if start[:1] == b"\0" else "utf-16-le",)
    elif start.startswith(codecs.BOM_UTF8):
        encodings = ("utf-8-sig",)
    else:
        encodings = ("utf-8", "cp1251")
    for encoding in encodings:
        fault = _fault(raw, encoding)
        if fault is None:
            return encoding
        if encoding.startswith("utf") and (len(encodings) == 1 or _is_rather_utf8(raw, fault)):
            raw.seek(0)
            line = raw.read(fault).count(b"\n") + 1
            named = encoding.upper().removesuffix("-SIG")
            raise UnreadableTableError(f"{file} is {named} with a broken character in line {line}")
    raise UnreadableTableError(f"{file} is neither UTF-8 nor Windows-1251")


def _fault(raw: BinaryIO, encoding: str) -> int | None:
    """Return the position of the first byte that cannot be decoded."""
    raw.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    while True:
        piece = raw.read(_PIECE)
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            return raw.tell() - len(error.object) + error.start
        if not piece:
            return None


def _is_rather_utf8(raw: BinaryIO, fault: int) -> bool:
    """Return whether a single invalid byte is an exception in UTF-8: as Windows-1251 the whole file would be
    garbled.
    """
    raw.seek(max(0, fault - _AROUND))
    text = raw.read(2 * _AROUND).decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return sum(letter > "\x7f" for letter in text) > 2 * broken
