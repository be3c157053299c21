"""Readers of CSV files: files of office programs in their dialects, and files shipped in a package."""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from typing import BinaryIO

DELIMITERS = (",", ";", "\t")
_WORKBOOK = b"PK\x03\x04"
_PIECE = 1 << 20
_AROUND = 1 << 15


class UnreadableTableError(ValueError):
    """The file cannot be used; the message names the file and the row or column."""


class InvalidCsvError(UnreadableTableError):
    """A line is not valid CSV."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file} is not valid CSV: line {line}: {reason}")
        self.reason = reason


def is_workbook(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a workbook (XLSX) or another archive."""
    return start.startswith(_WORKBOOK)


def detect_encoding(raw: BinaryIO, file: str) -> str:
    """Return the encoding of a text: UTF-8, UTF-16, or Windows-1251, which Russian spreadsheets write by default.

    Raise `UnreadableTableError` for another encoding or an invalid character. `file` is the name in errors.
    """
    raw.seek(0)
    start = raw.read(len(_WORKBOOK))
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
            raise UnreadableTableError(f"{file} is {named} with an invalid character in line {line}")
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
    """Return whether a text with one invalid byte is faulty UTF-8: as Windows-1251 it would be garbled."""
    raw.seek(max(0, fault - _AROUND))
    text = raw.read(2 * _AROUND).decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return sum(letter > "\x7f" for letter in text) > 2 * broken


def decode_text(content: bytes, file: str) -> str:
    """Return the text of a file, with its line ends. Raise `UnreadableTableError` like `detect_encoding`."""
    return content.decode(detect_encoding(io.BytesIO(content), file))


def choose_delimiter(score: Callable[[str], int]) -> str:
    """Return the delimiter with the highest score; the first of `DELIMITERS` among equals."""
    return max(DELIMITERS, key=score)


def csv_rows(lines: Iterable[str], delimiter: str, file: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV, an empty one for a blank line. `lines` keep their ends.

    Raise `InvalidCsvError` at a line that is not valid CSV.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise InvalidCsvError(file, reader.line_num, str(error)) from error


def package_rows(package: str, *path: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file of a package, each by column name."""
    text = files(package).joinpath(*path).read_text(encoding="utf-8")
    yield from csv.DictReader(io.StringIO(text), strict=True)
