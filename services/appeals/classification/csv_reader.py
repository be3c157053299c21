"""Tables as organisations keep and export them: CSV of any office program, read by the names of its columns.

Names of columns are compared without case, «ё» or extra spaces: `текст инцидента` finds «Текст инцидента». Rows
are counted from 1, the row of names and blank lines not among them.
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

from services.appeals.classification.text.tokenizer import fold_text

_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"?')
_WORKBOOK = b"PK\x03\x04"
_PIECE = 1 << 20
_AROUND = 1 << 15


class UnreadableTableError(ValueError):
    """The file cannot be used; the message names the file and the row or column."""


@dataclass(frozen=True)
class TableHeader:
    """The name of a file and the names of its columns, as they are written there."""

    file: str
    columns: tuple[str, ...]

    def find_column(self, wanted: str) -> int | None:
        """Which column a name means, if any. Raises `FileRefusedError` when several are called so."""
        if self.columns.count(wanted) == 1:
            return self.columns.index(wanted)
        found = [at for at, name in enumerate(self.columns) if _folded(name) == _folded(wanted)]
        if len(found) > 1:
            raise UnreadableTableError(f"{self.file}: {len(found)} columns are called «{wanted}»")
        return found[0] if found else None

    def column_index(self, wanted: str) -> int:
        """Which column a name means. Raises `FileRefusedError` when none or several are called so."""
        found = self.find_column(wanted)
        if found is None:
            raise UnreadableTableError(
                f"{self.file}: the column «{wanted}» is missing; there are: {', '.join(self.columns)}"
            )
        return found


@dataclass(frozen=True)
class LoadedTable(TableHeader):
    """A file as it was read: rows of as many cells as there are columns."""

    rows: list[list[str]]


@dataclass(frozen=True)
class TableStream(TableHeader):
    """A file that is being read: rows of as many cells as there are columns, and none for a blank line.

    Going through `rows` raises `FileRefusedError` for what is not CSV and for too few or too many cells.
    """

    rows: Iterator[list[str]]


def _folded(name: str) -> str:
    return " ".join(fold_text(name).split())


def read_table(path: Path) -> LoadedTable:
    """Read a whole file, blank lines left out.

    Raises `FileRefusedError` for what is no such file, has no rows, or has a row with too few or too many cells.
    """
    with open_table(path) as flow:
        rows = [row for row in flow.rows if row]
    if not rows:
        raise UnreadableTableError(f"{flow.file} has no rows below the names of its columns")
    return LoadedTable(flow.file, flow.columns, rows)


@contextmanager
def open_table(path: Path) -> Iterator[TableStream]:
    """Read a file row by row, however large: UTF-8, UTF-16 or Windows-1251, by commas, semicolons or tabs.

    Raises `FileRefusedError` for what is no such file or is empty.
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
                # A line of spaces alone is a row for whoever reads CSV.
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
    """The place of the first byte that cannot be read so."""
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
    """Whether one broken place is the exception around it: Windows-1251 would make a jumble of the whole file."""
    raw.seek(max(0, fault - _AROUND))
    text = raw.read(2 * _AROUND).decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return sum(letter > "\x7f" for letter in text) > 2 * broken
