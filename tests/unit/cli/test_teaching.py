"""`gospablik topics train|evaluate|predict` on files."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.unit.appeals.understanding import invented

HARD = (
    '"кавычки", и запятые; и\nновая строка\r\nещё одна',
    "  яма с пробелами  ",
    "",
    "'=формула воды",
    "мусор\rу школы",
)


def ran(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["topics", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def history(folder: Path, count: int = 90, seed: int = 1) -> Path:
    path = folder / f"history-{seed}.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["Номер инцидента", "Текст инцидента", "Группа тем"])
        writer.writerows([at, *row] for at, row in enumerate(zip(*invented.rows(count, seed), strict=True), 1))
        writer.writerow([count + 1, "", "Вода"])
        writer.writerow([count + 2, "без темы", ""])
    return path


def options(path: Path, model: Path | None) -> list[str]:
    given = ["--data", str(path), "--text", "текст инцидента", "--label", "группа тем"]
    return [*given, "--model", str(model)] if model else given


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("topics")
    said = ran("train", *options(history(folder), folder / "model"))
    assert "left out, no «текст инцидента»: 1 rows (91)" in said
    assert "left out, no «группа тем»: 1 rows (92)" in said
    assert "version 1: 90 rows, 3 labels" in said
    assert "in force: no model was in force" in said
    return folder / "model"


def test_predicting_keeps_every_row_and_cell_in_order(tmp_path: Path, model: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["label", " id ", "text"])
        writer.writerows([["прежний", at, text] for at, text in enumerate(HARD)])
    said = ran("predict", "--data", str(source), "--text", "Text", "--model", str(model), "--out", str(target))
    assert "version 1: 4 rows labelled, 1 without text left empty" in said
    with target.open(encoding="utf-8", newline="") as read:
        rows = list(csv.reader(read))
    assert rows[0] == ["given_label", " id ", "text", "label", "top3", "confidence"]
    assert [row[:3] for row in rows[1:]] == [["прежний", str(at), text] for at, text in enumerate(HARD)]
    for text, row in zip(HARD, rows[1:], strict=True):
        if not text:
            assert row[3:] == ["", "", ""]
            continue
        top = row[4].split("|")
        assert row[3] == top[0]
        assert len(top) == 3
        assert 0 <= float(row[5]) <= 1
    assert rows[2][3] == "Дороги"


def test_a_model_is_scored_on_a_file_and_known_rows_are_told(tmp_path: Path, model: Path) -> None:
    said = ran("evaluate", *options(history(tmp_path, 40, seed=9), model), "--json", "--wanted", "0.9")
    found = json.loads(said[said.index("{") :])
    assert (found["version"], found["known_rows"], found["scores"]["rows"]) == (1, 0, 40)
    assert found["scores"]["accuracy"] > 0.8
    assert found["threshold"] is not None
    flattered = ran("evaluate", *options(history(tmp_path, 90), model))
    assert "90 of 90 rows are among those it has learnt from" in flattered
    assert "version 1 on 90 rows: accuracy 0.9" in flattered or "accuracy 1.0" in flattered


def test_learning_is_scored_beside_the_plain_tool(tmp_path: Path) -> None:
    path = history(tmp_path, 60)
    found = ran("evaluate", *options(path, None), "--seeds", "2", "--json")
    scores = json.loads(found[found.index("{") :])
    assert scores["seeds"] == [0, 1]
    assert set(scores["ours"]) == set(scores["plain"])
    assert scores["plain"]["calibration_error"] is None
    shown = ran("evaluate", *options(path, None), "--seeds", "1")
    for word in ("ours", "plain tool", "gain", "weighted f1", "top3", "coverage"):
        assert word in shown


def test_training_again_says_who_wins(tmp_path: Path, model: Path) -> None:
    same = model.parent / "history-1.csv"
    said = ran("train", *options(same, model))
    assert "version 2" in said
    assert "not in force: nothing is held out: 90 of 90 rows" in said
    assert "in force: nothing is held out" in ran("train", *options(same, model), "--force")
    assert (model / "current").read_text().strip() == "3"


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "in.csv is empty"), ("Номер,тема\n1,а\n", "the column «текст инцидента» is missing"),
     ("текст инцидента,группа тем\nяма,Дороги\n", "at least 5 different texts")],
)  # fmt: skip
def test_a_bad_file_is_refused_in_words(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8")
    assert said in ran("train", *options(path, tmp_path / "model"), code=1)
    assert not (tmp_path / "model").exists()


def test_predicting_without_a_model_is_refused(tmp_path: Path) -> None:
    path = history(tmp_path, 5)
    arguments = ["--data", str(path), "--text", "текст инцидента", "--model", str(tmp_path / "none")]
    assert "holds no model" in ran("predict", *arguments, "--out", str(tmp_path / "out.csv"), code=1)
    assert not (tmp_path / "out.csv").exists()
