"""Tables as office programs save them, addressed by column names."""

import csv
from pathlib import Path

import pytest

from shared.tabular.named_columns import LoadedTable, open_table, read_table
from shared.tabular.reader import UnreadableTableError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "export.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("heading", "asked"),
    [("Ёмкость", "емкость"), ("  Тема ", "тема"), ("ТЕМА", "Тема"), ("Группа  тем", "группа тем")],
)
def test_column_names_are_compared_folded(heading: str, asked: str) -> None:
    assert LoadedTable("f.csv", ("text", heading), []).column_index(asked) == 1


def test_exact_column_name_takes_precedence() -> None:
    table = LoadedTable("f.csv", ("Тема", "тема", "Номер", "номер"), [])
    assert table.column_index("тема") == 1
    with pytest.raises(UnreadableTableError, match=r"f\.csv: 2 columns are called «НОМЕР»"):
        table.column_index("НОМЕР")


def test_missing_column_is_reported() -> None:
    table = LoadedTable("f.csv", ("Тема", "тема"), [])
    assert table.find_column("text") is None
    with pytest.raises(
        UnreadableTableError, match=r"f\.csv: the column «text» is missing; the file has: Тема, тема"
    ):
        table.column_index("text")


def test_line_ends_inside_a_cell_are_kept(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "text,label\nпервая\u2028вторая\x0cтретья,a\n"))
    assert table.rows == [["первая\u2028вторая\x0cтретья", "a"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1251"])
def test_office_encodings_and_separators_are_detected(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = tmp_path / "export.csv"
    lines = [["id", "текст; с, чем", "label"], ["1", "Пётр: «ёлка»,;\tяма\r\nи лужа", ""]]
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    table = read_table(path)
    assert [list(table.columns), *table.rows] == lines


def test_separator_in_a_quoted_name_is_ignored(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, '"a;b;c;d",text\n1,яма\n')).columns == ("a;b;c;d", "text")


def test_blank_lines_differ_from_empty_rows(tmp_path: Path) -> None:
    path = written(tmp_path, '\n\ntext,label\n\nяма,a\n,\n""\n  \n\n')
    with open_table(path) as flow:
        assert list(flow.rows) == [[], ["яма", "a"], ["", ""], ["", ""], ["  ", ""], []]
    assert read_table(path).rows == [["яма", "a"], ["", ""], ["", ""], ["  ", ""]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "export.csv is empty"),
        ("  \n", "export.csv is empty"),
        ("text,label\n", "export.csv has no rows below"),
        ("text,label\n\n\n", "export.csv has no rows below"),
        ("text,label\nяма\n", "row 1 has 1 cells, the header has 2"),
        ("text,label\nяма,a\n\nтьма,b,c\n", "row 2 has 3 cells"),
        ('text,label\nяма,a\n"тьма,b\n', "row 2 is not valid CSV"),
        ('"text"x,label\nяма,a\n', "the header is not valid CSV"),
        (b"PK\x03\x04", "is a workbook or an archive: save the table as CSV"),
        (b"text\n\x98\n", "is neither UTF-8 nor Windows-1251"),
        ("text\nяма\n".encode("utf-16")[:-1], "is UTF-16 with an invalid character in line 2"),
        ("\ufefftext\nяма\n".encode() + b"\xff", "is UTF-8 with an invalid character in line 3"),
    ],
)
def test_invalid_table_is_refused_naming_the_file(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UnreadableTableError, match=message):
        read_table(written(tmp_path, content))


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTableError, match=r"none\.csv cannot be read: No such file"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        # Invalid bytes: an incomplete character late in the file, and one at its beginning.
        (b"text\n" + "нет света\n".encode() * 80_000 + b"\xd0", 80_002),
        (b"text\n\xc5\n" + "нет света\n".encode() * 20, 2),
    ],
    ids=["far down", "at once"],
)
def test_broken_utf8_is_not_decoded_as_windows_1251(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(UnreadableTableError, match=f"is UTF-8 with an invalid character in line {line}$"):
        read_table(written(tmp_path, content))
