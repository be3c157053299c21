"""`gospablik classify` writes every row with its classification."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from services.appeals.classification.csv_row import CLASSIFICATION_COLUMNS

RUNNER = CliRunner()
ALL = "id,Text,kind,network,page_owner,page_municipality,post_context\n"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _records(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _run(tmp_path: Path, content: str | bytes, target: Path | None = None) -> tuple[int, str, Path]:
    source, out = tmp_path / "in.csv", target or tmp_path / "out.csv"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    done = RUNNER.invoke(app, ["classify", "--in", str(source), "--out", str(out)])
    return done.exit_code, done.output.strip(), out


def test_row_count_order_and_input_columns_are_preserved(tmp_path: Path) -> None:
    code, output, target = _run(
        tmp_path,
        "id,Text,kind,page_owner,page_municipality,post_context,group\n"
        '1,"Когда починят\nдорогу, ""ямы"" везде?",comment,Администрация Кабанского района,Кабанский район,,моя\n'
        "2,,comment,,,,\n"
        "3,спасибо!,message,,,,\n"
        "4,Манай тосхондо эмшэн үгы,,,,,\n",
    )
    assert (code, output) == (0, "4 rows classified")
    rows = _rows(target)
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["Text"] == 'Когда починят\nдорогу, "ямы" везде?'
    assert list(rows[0]) == [
        "id", "Text", "kind", "page_owner", "page_municipality", "post_context", "given_group",
        *CLASSIFICATION_COLUMNS,
    ]  # fmt: skip
    assert (rows[0]["given_group"], rows[0]["group"], rows[0]["municipality"]) == (
        "моя",
        "Дороги",
        "Кабанский район",
    )
    assert [row["needs_answer"] for row in rows] == ["yes", "no", "no", "yes"]
    assert (rows[3]["language"], rows[3]["group"]) == ("bxr", "")
    assert all(len(row["top3"].split("|")) <= 3 for row in rows)


@pytest.mark.parametrize(
    ("content", "without_text"),
    [
        ('text\nнет света\n\n""\n  \nнет воды\n\n', [1, 2]),
        ("text\r\nнет света\r\n\r\n\r\nнет воды\r\n", []),
        ("\n\nid,text\n1,нет света\n\n,\n  \n4,нет воды\n", [1, 2]),
    ],
)
def test_blank_lines_stay_blank_and_rows_keep_their_numbers(
    tmp_path: Path, content: str, without_text: list[int]
) -> None:
    code, output, target = _run(tmp_path, content)
    assert code == 0, output
    source = tmp_path / "in.csv"
    source.write_text(content.lstrip("\n"), encoding="utf-8", newline="")
    given, found = _rows(source), _rows(target)
    assert output == f"{len(given)} rows classified"
    assert [row["text"] or "" for row in given] == [row["text"] for row in found]
    assert [at for at, row in enumerate(found) if not row["text"].strip()] == without_text
    assert all(found[at]["needs_answer"] == "no" for at in without_text)
    assert [bool(record) for record in _records(source)] == [bool(record) for record in _records(target)]
    assert {len(record) for record in _records(target) if record} == {len(found[0])}


def test_line_break_within_a_cell_does_not_end_the_row(tmp_path: Path) -> None:
    _, _, target = _run(tmp_path, 'text\n"мусор\rу школы"\n"нет\r\nсвета"\n')
    assert [row["text"] for row in _rows(target)] == ["мусор\rу школы", "нет\r\nсвета"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_files_of_office_programs_are_read_and_utf8_is_written(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    lines = [["№", "Text", "kind"], ["1", 'нет света; "Заря", третий\tдень', "message"], ["2", "спасибо", ""]]
    source = tmp_path / "made.csv"
    with source.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    code, output, target = _run(tmp_path, source.read_bytes())
    assert (code, output) == (0, "2 rows classified")
    assert [record[:3] for record in _records(target)] == lines
    assert [row["group"] for row in _rows(target)] == ["Энергетика", ""]


def test_source_file_may_be_the_target(tmp_path: Path) -> None:
    many = "".join(f"{number},нет света на улице {number}\n" for number in range(1_200))
    code, output, _ = _run(tmp_path, f"id,text\n{many}", tmp_path / "in.csv")
    assert (code, output) == (0, "1,200 rows classified")
    rows = _rows(tmp_path / "in.csv")
    assert [row["id"] for row in rows] == [str(number) for number in range(1_200)]
    assert all(row["needs_answer"] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "--in: in.csv is empty"),
        ("id,words\n1,а\n", "--in: in.csv: the column «text» is missing; the file has: id, words"),
        ("Text,TEXT\nа,б\n", "--in: in.csv: 2 columns are called «text»"),
        ("KIND,Kind ,text\nа,б,в\n", "--in: in.csv: 2 columns are called «kind»"),
        ("text,kind\nа\n", "--in: in.csv: row 1 has 1 cells, the header has 2"),
        ('text,kind\nа,\n\n"б,\n', "--in: in.csv: row 2 is not valid CSV"),
        (
            "text\nнет света\n".encode() + "вода".encode()[:-1],
            "--in: in.csv is UTF-8 with an invalid character in line 3",
        ),
        ("text\nда".encode("utf-16")[:-1], "--in: in.csv is UTF-16 with an invalid character in line 2"),
        (b"text\n\x98\n", "--in: in.csv is neither UTF-8 nor Windows-1251"),
        (b"PK\x03\x04\x14", "--in: in.csv is a workbook or an archive: save the table as CSV"),
    ],
)
def test_unreadable_file_is_reported_in_one_line_and_target_is_kept(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    (tmp_path / "out.csv").write_text("раньше", encoding="utf-8")
    code, output, target = _run(tmp_path, content)
    assert code == 2
    assert output.startswith(message)
    assert "\n" not in output
    assert target.read_text(encoding="utf-8") == "раньше"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_error_in_a_late_row_leaves_the_target_unchanged(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("раньше", encoding="utf-8")
    code, output, target = _run(tmp_path, "id,text\n" + "1,да\n" * 600 + "1,да,нет\n")
    assert (code, output) == (2, "--in: in.csv: row 601 has 3 cells, the header has 2")
    assert target.read_text(encoding="utf-8") == "раньше"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize(
    ("target", "reason"), [("none/out.csv", "No such file or directory"), ("in.csv/out.csv", "Not a directory")]
)
def test_unwritable_target_is_reported_in_one_line(tmp_path: Path, target: str, reason: str) -> None:
    code, output, _ = _run(tmp_path, "text\nда\n", tmp_path / target)
    assert (code, output) == (2, f"--out: {tmp_path / target} cannot be written: {reason}")


def test_kind_and_network_are_read_in_any_spelling(tmp_path: Path) -> None:
    spellings = ("comment", " Comment ", "WALL POST", "wall-post", "post", "Message", "сообщение", "")
    content = ALL + "".join(f"1,«Селенгинская правда»,{kind}, VK ,,,\n" for kind in spellings)
    assert _run(tmp_path, content)[:2] == (0, "8 rows classified")


def test_unknown_values_are_reported_and_rows_are_classified(tmp_path: Path) -> None:
    kinds = ["letter" if number < 8 else "comment" for number in range(10)]
    content = ALL + "".join(
        f"{number},нет света,{kind},{'facebook' if number == 4 else 'vk'},,Несуществующий район,\n"
        for number, kind in enumerate(kinds)
    )
    code, output, target = _run(tmp_path, content)
    assert code == 0
    assert output.splitlines() == [
        "column «kind»: unknown values in 8 rows, such as «letter», treated as comments: 1, 2, 3, 4, 5 and 3 more",
        "column «network»: unknown values in 1 rows, such as «facebook», which has no effect: 5",
        "column «page_municipality»: unknown values in 10 rows, such as «Несуществующий район», "
        "treated as empty: 1, 2, 3, 4, 5 and 5 more",
        "10 rows classified",
    ]
    rows = _rows(target)
    assert [row["kind"] for row in rows] == kinds
    assert len({tuple(row[name] for name in CLASSIFICATION_COLUMNS) for row in rows}) == 1


@pytest.mark.parametrize(
    ("given", "municipality"),
    [
        ("81624000", "Кабанский район"),
        ("81 624 411", "Кабанский район"),
        ("81701000001", "город Улан-Удэ"),
        ("81720000.0", "город Северобайкальск"),
        ("81645000", "Северо-Байкальский район"),
        ("кабанский  район", "Кабанский район"),
        ("Город Улан-Удэ", "город Улан-Удэ"),
        ("Кабанский", "Кабанский район"),
    ],
)
def test_page_municipality_is_found_by_name_or_oktmo(tmp_path: Path, given: str, municipality: str) -> None:
    code, output, target = _run(tmp_path, f"{ALL}1,Когда починят дорогу?,,,,{given},\n")
    assert (code, output) == (0, "1 rows classified")
    (row,) = _rows(target)
    assert row["municipality"] == municipality
    assert f"место: страница: {municipality}" in row["why"]


@pytest.mark.parametrize("given", ["81224000000", "81999000", "77701000"])
def test_unknown_oktmo_is_reported(tmp_path: Path, given: str) -> None:
    _, output, target = _run(tmp_path, f"{ALL}1,Когда починят дорогу?,,,,{given},\n")
    assert f"column «page_municipality»: unknown values in 1 rows, such as «{given}»" in output
    assert "место" not in _rows(target)[0]["why"]


def test_columns_named_like_results_keep_their_values(tmp_path: Path) -> None:
    _, _, target = _run(tmp_path, "text,group,given_group,why,group\nнет света,а,б,в,г\n")
    names, cells = _records(target)
    assert names[:5] == ["text", "given_given_group", "given_group", "given_why", "given_given_given_group"]
    assert cells[:5] == ["нет света", "а", "б", "в", "г"]
    assert names[5:] == list(CLASSIFICATION_COLUMNS)
    again = tmp_path / "again.csv"
    code, output, _ = _run(tmp_path, target.read_bytes(), again)
    assert code == 0, output
    assert len(set(_records(again)[0])) == 5 + 2 * len(CLASSIFICATION_COLUMNS)


def test_file_with_only_a_header_gives_a_header(tmp_path: Path) -> None:
    assert _run(tmp_path, "text\n")[:2] == (0, "0 rows classified")
    assert _records(tmp_path / "out.csv") == [["text", *CLASSIFICATION_COLUMNS]]
