"""Files of every supported dialect are read as the same table; other files are refused with a reason."""

import io
import re
import zipfile
from datetime import date, datetime
from typing import Any
from unittest import mock

import openpyxl
import pytest

from services.registry.import_export import file_reader
from services.registry.import_export.file_reader import read_table
from shared.http.problems import Invalid
from shared.tabular.workbook import MAX_SHEET_CELLS, MAX_SHEET_ROWS

TEXT = "Код;Наименование;Чужое\r\ns1;Школа № 1;x\r\n\r\ns2;«Ёлочка»;\r\n"


def workbook(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("cp1251"),
        TEXT.replace(";", "\t").encode("utf-16"),
        TEXT.replace(";", ",").encode(),
        TEXT.replace(";", "\t").encode(),
        workbook(["Код", "Наименование", "Чужое"], ["s1", "Школа № 1", "x"], [], ["s2", "«Ёлочка»"]),
    ],
    ids=["utf-8", "with a mark", "cp1251", "utf-16", "commas", "tabs", "xlsx"],
)
def test_dialects_are_read_as_the_same_table(content: bytes) -> None:
    sheet = read_table(content)
    assert sheet.columns == {"code": 0, "name": 1}
    assert sheet.ignored == ["Чужое"]
    assert [(line.number, list(line.cells[:2])) for line in sheet.rows] == [
        (2, ["s1", "Школа № 1"]),
        (4, ["s2", "«Ёлочка»"]),
    ]


def test_title_above_the_headings_is_skipped() -> None:
    sheet = read_table("Реестр организаций на 01.11.2026\n\nНаименование,ИНН\nШкола,1\n".encode())
    assert (sheet.heading.number, sheet.columns) == (3, {"name": 0, "inn": 1})
    assert [line.number for line in sheet.rows] == [4]


def test_spreadsheet_cells_are_read_as_text() -> None:
    # Dates in spreadsheets have no time zone.
    midnight = datetime(2016, 9, 1)  # noqa: DTZ001
    row = ["Школа", 1020300904326.0, 81701000, midnight, date(2020, 1, 2), True, 0.5, "'+7"]
    headings = ["Наименование", "ОГРН", "ОКТМО", "Действует с", "Действует по", "Статус", "Телефон", "Адрес"]
    sheet = read_table(workbook(headings, row))
    assert list(sheet.rows[0].cells) == [
        *("Школа", "1020300904326", "81701000", "2016-09-01", "2020-01-02", "true", "0.5", "+7"),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no column"),
        (b"\x00\xff\xfe\x01", "no column"),
        ("Код,ИНН\n1,2\n".encode(), "«Код», «ИНН»"),
        ('Наименование,ИНН\n"Школа,1\n'.encode(), "not valid CSV: line 2"),
        ("Наименование,Название\nа,б\n".encode(), "«Наименование» and «Название» name the same"),
        (
            "Наименование,ИНН\nШкола,1\n".encode() + b"\xd0",
            "The file is UTF-8 with an invalid character in line 3",
        ),
        ("Наименование".encode("cp1251") + b"\x98", "The file is neither UTF-8 nor Windows-1251"),
        (b"PK\x03\x04 and then nothing", "not a readable XLSX"),
        (workbook(["Школа"]), "no column"),
        (("Наименование" + "," * 250 + "x\n").encode(), "more than 200 columns"),
        (workbook(["Наименование", *[None] * 250, "x"]), "more than 200 columns"),
    ],
)
def test_file_that_is_not_a_readable_table_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        read_table(content)


def test_empty_rows_are_skipped() -> None:
    with mock.patch.object(file_reader, "MAX_ROWS", 3):
        sheet = read_table(("Наименование;Вид\n" + ";\n" * 500 + "Школа\nКлуб\n" + "\n" * 500).encode())
    assert [line.number for line in sheet.rows] == [502, 503]


def test_oversized_file_is_refused() -> None:
    content = ("Наименование\n" + "\n" * 50 + "Школа\n" * 3).encode()
    with mock.patch.object(file_reader, "MAX_ROWS", 3), pytest.raises(Invalid, match="more than 3 rows"):
        read_table(content)
    with (
        mock.patch.object(file_reader, "MAX_UNPACKED_BYTES", 100),
        pytest.raises(Invalid, match="unpacks to more"),
    ):
        read_table(workbook(["Наименование"], ["Школа"]))


def workbook_of(rows: str) -> bytes:
    """Return a workbook whose only sheet has these rows, as XML."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(["Наименование"]))) as made, zipfile.ZipFile(file, "w") as archive:
        for name in made.namelist():
            content = made.read(name)
            if name == "xl/worksheets/sheet1.xml":
                content = re.sub(rb"<sheetData>.*</sheetData>", f"<sheetData>{rows}</sheetData>".encode(), content)
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    "rows",
    [
        f'<row r="{MAX_SHEET_ROWS + 1}"><c r="A{MAX_SHEET_ROWS + 1}"><v>1</v></c></row>',
        '<row><c r="ZZZ1"/></row>' * (MAX_SHEET_CELLS // 18_278 + 1),
    ],
    ids=["rows", "cells"],
)
def test_workbook_of_mostly_missing_cells_is_refused(rows: str) -> None:
    # A few bytes with a high row or cell number imply many empty rows or cells before it, which take time to skip.
    with pytest.raises(Invalid, match="is too large: a sheet has at most"):
        read_table(workbook_of(rows))


def test_workbook_with_a_gap_is_read() -> None:
    row = '<row r="{0}"><c r="A{0}" t="inlineStr"><is><t>{1}</t></is></c></row>'
    sheet = read_table(workbook_of(row.format(5, "Наименование") + row.format(90_000, "Школа")))
    assert [(line.number, line.cells) for line in sheet.rows] == [(90_000, ["Школа"])]
