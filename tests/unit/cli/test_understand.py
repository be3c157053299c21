"""`gospablik understand`: every row comes back, in its place, with what was understood beside it."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from services.appeals.understanding.flat import COLUMNS

RUNNER = CliRunner()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _run(tmp_path: Path, content: str | bytes) -> tuple[int, str, Path]:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    done = RUNNER.invoke(app, ["understand", "--in", str(source), "--out", str(target)])
    return done.exit_code, " ".join(done.output.replace("│", " ").split()), target


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
        "id", "Text", "kind", "page_owner", "page_municipality", "post_context", "given_group", *COLUMNS,
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
    ("content", "named"),
    [
        ("id,words\n1,а\n", "«text» is missing"),
        ("text,kind\nа,letter\n", "row 1, column «kind»"),
        ("text,kind\nа\n", "row 1 has not as many cells"),
        (b"text\n\xff\xfe\n", "is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: str | bytes, named: str) -> None:
    code, said, _ = _run(tmp_path, content)
    assert code != 0
    assert named in said
