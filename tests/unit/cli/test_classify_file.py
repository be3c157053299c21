"""`gospablik understand`: every row comes back, in its place, with what was understood beside it."""

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
    done = RUNNER.invoke(app, ["understand", "--in", str(source), "--out", str(out)])
    return done.exit_code, done.output.strip(), out


def test_rows_keep_number_order_and_columns(tmp_path: Path) -> None:
    code, said, target = _run(
        tmp_path,
        "id,Text,kind,page_owner,page_municipality,post_context,group\n"
        '1,"Когда починят\nдорогу, ""ямы"" везде?",comment,Администрация Кабанского района,Кабанский район,,моя\n'
        "2,,comment,,,,\n"
        "3,спасибо!,message,,,,\n"
        "4,Манай тосхондо эмшэн үгы,,,,,\n",
    )
    assert (code, said) == (0, "4 rows understood")
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
def test_blank_lines_stay_blank_and_shift_nothing(tmp_path: Path, content: str, without_text: list[int]) -> None:
    code, said, target = _run(tmp_path, content)
    assert code == 0, said
    source = tmp_path / "in.csv"
    source.write_text(content.lstrip("\n"), encoding="utf-8", newline="")
    given, found = _rows(source), _rows(target)
    assert said == f"{len(given)} rows understood"
    assert [row["text"] or "" for row in given] == [row["text"] for row in found]
    assert [at for at, row in enumerate(found) if not row["text"].strip()] == without_text
    assert all(found[at]["needs_answer"] == "no" for at in without_text)
    assert [bool(record) for record in _records(source)] == [bool(record) for record in _records(target)]
    assert {len(record) for record in _records(target) if record} == {len(found[0])}


def test_line_ends_within_a_cell_end_no_row(tmp_path: Path) -> None:
    _, _, target = _run(tmp_path, 'text\n"мусор\rу школы"\n"нет\r\nсвета"\n')
    assert [row["text"] for row in _rows(target)] == ["мусор\rу школы", "нет\r\nсвета"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_what_office_programs_save_is_read_and_utf8_comes_out(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    lines = [["№", "Text", "kind"], ["1", 'нет света; "Заря", третий\tдень', "message"], ["2", "спасибо", ""]]
    source = tmp_path / "made.csv"
    with source.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    code, said, target = _run(tmp_path, source.read_bytes())
    assert (code, said) == (0, "2 rows understood")
    assert [record[:3] for record in _records(target)] == lines
    assert [row["group"] for row in _rows(target)] == ["Энергетика", ""]


def test_a_file_may_take_its_own_place(tmp_path: Path) -> None:
    many = "".join(f"{number},нет света на улице {number}\n" for number in range(1_200))
    code, said, _ = _run(tmp_path, f"id,text\n{many}", tmp_path / "in.csv")
    assert (code, said) == (0, "1,200 rows understood")
    rows = _rows(tmp_path / "in.csv")
    assert [row["id"] for row in rows] == [str(number) for number in range(1_200)]
    assert all(row["needs_answer"] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "--in: in.csv is empty"),
        ("id,words\n1,а\n", "--in: in.csv: the column «text» is missing; there are: id, words"),
        ("Text,TEXT\nа,б\n", "--in: in.csv: 2 columns are called «text»"),
        ("KIND,Kind ,text\nа,б,в\n", "--in: in.csv: 2 columns are called «kind»"),
        ("text,kind\nа\n", "--in: in.csv: row 1 has 1 cells, the row of names has 2"),
        ('text,kind\nа,\n\n"б,\n', "--in: in.csv: row 2 is not CSV"),
        (
            "text\nнет света\n".encode() + "вода".encode()[:-1],
            "--in: in.csv is UTF-8 with a broken character in line 3",
        ),
        ("text\nда".encode("utf-16")[:-1], "--in: in.csv is UTF-16 with a broken character in line 2"),
        (b"text\n\x98\n", "--in: in.csv is neither UTF-8 nor Windows-1251"),
        (b"PK\x03\x04\x14", "--in: in.csv is a workbook or an archive: save the table as CSV"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line_and_spoils_nothing(
    tmp_path: Path, content: str | bytes, named: str
) -> None:
    (tmp_path / "out.csv").write_text("раньше", encoding="utf-8")
    code, said, target = _run(tmp_path, content)
    assert code == 2
    assert said.startswith(named)
    assert "\n" not in said
    assert target.read_text(encoding="utf-8") == "раньше"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_fault_far_down_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("раньше", encoding="utf-8")
    code, said, target = _run(tmp_path, "id,text\n" + "1,да\n" * 600 + "1,да,нет\n")
    assert (code, said) == (2, "--in: in.csv: row 601 has 3 cells, the row of names has 2")
    assert target.read_text(encoding="utf-8") == "раньше"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize(
    ("target", "reason"), [("none/out.csv", "No such file or directory"), ("in.csv/out.csv", "Not a directory")]
)
def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, target: str, reason: str) -> None:
    code, said, _ = _run(tmp_path, "text\nда\n", tmp_path / target)
    assert (code, said) == (2, f"--out: {tmp_path / target} cannot be written: {reason}")


def test_kind_and_network_are_read_in_any_dress(tmp_path: Path) -> None:
    dressed = ("comment", " Comment ", "WALL POST", "wall-post", "post", "Message", "сообщение", "")
    content = ALL + "".join(f"1,«Селенгинская правда»,{kind}, VK ,,,\n" for kind in dressed)
    assert _run(tmp_path, content)[:2] == (0, "8 rows understood")


def test_what_is_not_known_is_told_and_stops_nothing(tmp_path: Path) -> None:
    odd = ["letter" if number < 8 else "comment" for number in range(10)]
    content = ALL + "".join(
        f"{number},нет света,{kind},{'facebook' if number == 4 else 'vk'},,Несуществующий район,\n"
        for number, kind in enumerate(odd)
    )
    code, said, target = _run(tmp_path, content)
    assert code == 0
    assert said.splitlines() == [
        "column «kind»: not known in 8 rows, such as «letter», read as comments: 1, 2, 3, 4, 5 and 3 more",
        "column «network»: not known in 1 rows, such as «facebook», which changes nothing: 5",
        "column «page_municipality»: not known in 10 rows, such as «Несуществующий район», read as if it were "
        "empty: 1, 2, 3, 4, 5 and 5 more",
        "10 rows understood",
    ]
    rows = _rows(target)
    assert [row["kind"] for row in rows] == odd
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
def test_the_pages_municipality_is_known_by_name_or_oktmo(tmp_path: Path, given: str, municipality: str) -> None:
    code, said, target = _run(tmp_path, f"{ALL}1,Когда починят дорогу?,,,,{given},\n")
    assert (code, said) == (0, "1 rows understood")
    (row,) = _rows(target)
    assert row["municipality"] == municipality
    assert f"место: страница: {municipality}" in row["why"]


@pytest.mark.parametrize("given", ["81224000000", "81999000", "77701000"])
def test_a_code_of_nowhere_is_told(tmp_path: Path, given: str) -> None:
    _, said, target = _run(tmp_path, f"{ALL}1,Когда починят дорогу?,,,,{given},\n")
    assert f"column «page_municipality»: not known in 1 rows, such as «{given}»" in said
    assert "место" not in _rows(target)[0]["why"]


def test_columns_called_like_results_keep_each_its_own_value(tmp_path: Path) -> None:
    _, _, target = _run(tmp_path, "text,group,given_group,why,group\nнет света,а,б,в,г\n")
    names, cells = _records(target)
    assert names[:5] == ["text", "given_given_group", "given_group", "given_why", "given_given_given_group"]
    assert cells[:5] == ["нет света", "а", "б", "в", "г"]
    assert names[5:] == list(CLASSIFICATION_COLUMNS)
    again = tmp_path / "again.csv"
    code, said, _ = _run(tmp_path, target.read_bytes(), again)
    assert code == 0, said
    assert len(set(_records(again)[0])) == 5 + 2 * len(CLASSIFICATION_COLUMNS)


def test_a_file_of_names_alone_gives_one(tmp_path: Path) -> None:
    assert _run(tmp_path, "text\n")[:2] == (0, "0 rows understood")
    assert _records(tmp_path / "out.csv") == [["text", *CLASSIFICATION_COLUMNS]]
