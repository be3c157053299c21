"""`gospablik topics train|evaluate|predict` on files."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.unit.appeals.classification import sample_rows

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
        writer.writerows([at, *row] for at, row in enumerate(zip(*sample_rows.rows(count, seed), strict=True), 1))
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
    assert "in force: no model was active" in said
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


def test_the_three_commands_take_the_same_options(tmp_path: Path) -> None:
    data, folder, out = history(tmp_path), tmp_path / "model", tmp_path / "out.csv"
    assert "version 1: 90 rows" in ran("train", *options(data, folder))
    tried = options(history(tmp_path, 40, seed=9), folder)
    scored = ran("evaluate", *tried)
    said = ran("predict", *tried, "--out", str(out))
    assert "version 1: 41 rows labelled, 1 without text left empty" in said
    accuracy = said[said.index("accuracy ") :].split(" on ")[0]
    assert f": {accuracy}," in scored
    assert said.rstrip().endswith("on 40 rows with a «группа тем»")
    assert "flatter" not in said
    with out.open(encoding="utf-8", newline="") as read:
        rows = [row for row in csv.DictReader(read) if row["Группа тем"] and row["Текст инцидента"]]
    right = sum(row["label"] == row["Группа тем"] for row in rows)
    assert accuracy == f"accuracy {right / 40:.3f}"
    assert "90 of 90 rows are among those it has learnt from" in ran(
        "predict", *options(data, folder), "--out", str(out)
    )


def test_a_file_without_labels_is_labelled_all_the_same(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,known\nяма на дороге,\n", encoding="utf-8")
    arguments = ("predict", "--data", str(source), "--text", "text", "--model", str(model), "--out", str(out))
    assert "no accuracy is told: in.csv: the column «label» is missing" in ran(*arguments, "--label", "label")
    assert "no accuracy is told: no row has a «known»" in ran(*arguments, "--label", "known")
    assert "accuracy" not in ran(*arguments, "--label", "text")
    with out.open(encoding="utf-8", newline="") as read:
        assert [row["label"] for row in csv.DictReader(read)] == ["Дороги"]


def test_predicting_keeps_blank_lines_blank_and_may_take_the_files_place(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('text\nяма на дороге\n\n""\nнет воды\n', encoding="utf-8")
    ran("predict", "--data", str(path), "--text", "text", "--model", str(model), "--out", str(path))
    with path.open(encoding="utf-8", newline="") as read:
        assert [row[:2] for row in csv.reader(read)] == [
            ["text", "label"],
            ["яма на дороге", "Дороги"],
            [],
            ["", ""],
            ["нет воды", "Вода"],
        ]


def test_a_fault_in_a_row_or_in_the_target_spoils_nothing(tmp_path: Path, model: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("text,id\n" + "яма,1\n" * 2_100 + "яма\n", encoding="utf-8")
    out.write_text("before", encoding="utf-8")
    arguments = ("predict", "--data", str(path), "--text", "text", "--model", str(model), "--out")
    assert "in.csv: row 2101 has 1 cells" in ran(*arguments, str(out), code=1)
    assert out.read_text(encoding="utf-8") == "before"
    missing = tmp_path / "none" / "out.csv"
    assert ran(*arguments, str(missing), code=2) == (
        f"--out: {missing} cannot be written: No such file or directory\n"
    )


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
    assert "not in force: nothing can be compared: 90 of 90 rows" in said
    assert "in force: nothing can be compared" in ran("train", *options(same, model), "--force")
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


def test_a_version_that_is_not_in_force_serves_while_none_is(tmp_path: Path) -> None:
    """Labels that are groups of this system, and words that tell nothing: the built-in model is no worse."""
    path = tmp_path / "history.csv"
    groups = ("Дороги", "ЖКХ", "Культура")
    rows = [f"обращение {'а' * at},{groups[at % 3]}" for at in range(1, 31)]
    path.write_text("\n".join(["текст инцидента,группа тем", *rows]), encoding="utf-8")
    said = ran("train", *options(path, tmp_path / "model"))
    assert "not in force: does not beat the built-in model on 30 rows" in said
    assert not (tmp_path / "model" / "current").exists()
    said = ran("evaluate", *options(path, tmp_path / "model"), "--json")
    assert "version 1 is not in force: does not beat the built-in model" in said
    arguments = ["--data", str(path), "--text", "текст инцидента", "--model", str(tmp_path / "model")]
    said = ran("predict", *arguments, "--out", str(tmp_path / "out.csv"))
    assert "version 1 is not in force: does not beat the built-in model" in said
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 31
    assert "in force: does not beat" in ran("train", *options(path, tmp_path / "model"), "--force")
    assert (tmp_path / "model" / "current").read_text(encoding="utf-8").strip() == "2"


def test_predicting_without_a_model_is_refused(tmp_path: Path) -> None:
    path = history(tmp_path, 5)
    arguments = ["--data", str(path), "--text", "текст инцидента", "--model", str(tmp_path / "none")]
    assert "holds no model" in ran("predict", *arguments, "--out", str(tmp_path / "out.csv"), code=1)
    assert not (tmp_path / "out.csv").exists()


def test_a_place_that_cannot_be_exported_to_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "out.csv"
    said = ran("export", "--out", str(missing), "--url", "http://127.0.0.1:9", code=2)
    assert said == f"--out: {missing} cannot be written: No such file or directory\n"
