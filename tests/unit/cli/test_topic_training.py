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


def run(*arguments: str, code: int = 0) -> str:
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
    output = run("train", *options(history(folder), folder / "model"))
    assert "Rows without «текст инцидента» are left out: 1 (91)" in output
    assert "Rows without «группа тем» are left out: 1 (92)" in output
    assert "version 1: 90 rows, 3 labels" in output
    assert "active: no model was active" in output
    return folder / "model"


def test_predict_keeps_every_row_and_cell_in_order(tmp_path: Path, model: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["label", " id ", "text"])
        writer.writerows([["прежний", at, text] for at, text in enumerate(HARD)])
    output = run("predict", "--data", str(source), "--text", "Text", "--model", str(model), "--out", str(target))
    assert "version 1: 4 rows labelled, 1 without text left empty" in output
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


def test_train_evaluate_and_predict_take_the_same_options(tmp_path: Path) -> None:
    data, folder, out = history(tmp_path), tmp_path / "model", tmp_path / "out.csv"
    assert "version 1: 90 rows" in run("train", *options(data, folder))
    tried = options(history(tmp_path, 40, seed=9), folder)
    scored = run("evaluate", *tried)
    output = run("predict", *tried, "--out", str(out))
    assert "version 1: 41 rows labelled, 1 without text left empty" in output
    accuracy = output[output.index("accuracy ") :].split(" on ")[0]
    assert f": {accuracy}," in scored
    assert output.rstrip().endswith("on 40 rows with a «группа тем»")
    assert "training set" not in output
    with out.open(encoding="utf-8", newline="") as read:
        rows = [row for row in csv.DictReader(read) if row["Группа тем"] and row["Текст инцидента"]]
    right = sum(row["label"] == row["Группа тем"] for row in rows)
    assert accuracy == f"accuracy {right / 40:.3f}"
    assert "90 of 90 rows are in its training set" in run("predict", *options(data, folder), "--out", str(out))


def test_file_without_labels_gets_predictions(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,known\nяма на дороге,\n", encoding="utf-8")
    arguments = ("predict", "--data", str(source), "--text", "text", "--model", str(model), "--out", str(out))
    assert "the accuracy is unknown: in.csv: the column «label» is missing" in run(*arguments, "--label", "label")
    assert "the accuracy is unknown: no row has a «known»" in run(*arguments, "--label", "known")
    assert "accuracy" not in run(*arguments, "--label", "text")
    with out.open(encoding="utf-8", newline="") as read:
        assert [row["label"] for row in csv.DictReader(read)] == ["Дороги"]


def test_predict_keeps_blank_lines_and_may_replace_its_source(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('text\nяма на дороге\n\n""\nнет воды\n', encoding="utf-8")
    run("predict", "--data", str(path), "--text", "text", "--model", str(model), "--out", str(path))
    with path.open(encoding="utf-8", newline="") as read:
        assert [row[:2] for row in csv.reader(read)] == [
            ["text", "label"],
            ["яма на дороге", "Дороги"],
            [],
            ["", ""],
            ["нет воды", "Вода"],
        ]


def test_invalid_row_or_target_leaves_files_unchanged(tmp_path: Path, model: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("text,id\n" + "яма,1\n" * 2_100 + "яма\n", encoding="utf-8")
    out.write_text("before", encoding="utf-8")
    arguments = ("predict", "--data", str(path), "--text", "text", "--model", str(model), "--out")
    assert "in.csv: row 2101 has 1 cells" in run(*arguments, str(out), code=1)
    assert out.read_text(encoding="utf-8") == "before"
    missing = tmp_path / "none" / "out.csv"
    assert run(*arguments, str(missing), code=2) == (
        f"--out: {missing} cannot be written: No such file or directory\n"
    )


def test_evaluate_scores_a_file_and_reports_rows_seen_in_training(tmp_path: Path, model: Path) -> None:
    output = run("evaluate", *options(history(tmp_path, 40, seed=9), model), "--json", "--target-accuracy", "0.9")
    found = json.loads(output[output.index("{") :])
    assert (found["version"], found["known_rows"], found["scores"]["rows"]) == (1, 0, 40)
    assert found["scores"]["accuracy"] > 0.8
    assert found["threshold"] is not None
    own_scores = run("evaluate", *options(history(tmp_path, 90), model))
    assert "90 of 90 rows are in its training set" in own_scores
    assert "version 1 on 90 rows: accuracy 0.9" in own_scores or "accuracy 1.0" in own_scores


def test_evaluation_without_a_model_reports_scores_next_to_the_baseline(tmp_path: Path) -> None:
    path = history(tmp_path, 60)
    found = run("evaluate", *options(path, None), "--seeds", "2", "--json")
    scores = json.loads(found[found.index("{") :])
    assert scores["seeds"] == [0, 1]
    assert set(scores["ours"]) == set(scores["plain"])
    assert scores["plain"]["calibration_error"] is None
    shown = run("evaluate", *options(path, None), "--seeds", "1")
    for word in ("ours", "baseline", "gain", "weighted f1", "top3", "coverage"):
        assert word in shown


def test_repeated_training_reports_the_comparison(tmp_path: Path, model: Path) -> None:
    same = model.parent / "history-1.csv"
    output = run("train", *options(same, model))
    assert "version 2" in output
    assert "not active: nothing can be compared: 90 of 90 rows" in output
    assert "active: nothing can be compared" in run("train", *options(same, model), "--force")
    assert (model / "current").read_text().strip() == "3"


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "in.csv is empty"), ("Номер,тема\n1,а\n", "the column «текст инцидента» is missing"),
     ("текст инцидента,группа тем\nяма,Дороги\n", "at least 5 different texts")],
)  # fmt: skip
def test_invalid_file_is_refused_with_a_reason(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8")
    assert message in run("train", *options(path, tmp_path / "model"), code=1)
    assert not (tmp_path / "model").exists()


def test_newest_version_is_used_while_none_is_active(tmp_path: Path) -> None:
    """The labels are built-in groups and the texts contain no information: the built-in model is not worse."""
    path = tmp_path / "history.csv"
    groups = ("Дороги", "ЖКХ", "Культура")
    rows = [f"обращение {'а' * at},{groups[at % 3]}" for at in range(1, 31)]
    path.write_text("\n".join(["текст инцидента,группа тем", *rows]), encoding="utf-8")
    output = run("train", *options(path, tmp_path / "model"))
    assert "not active: does not beat the built-in model on 30 rows" in output
    assert not (tmp_path / "model" / "current").exists()
    output = run("evaluate", *options(path, tmp_path / "model"), "--json")
    assert "version 1 is not active: does not beat the built-in model" in output
    arguments = ["--data", str(path), "--text", "текст инцидента", "--model", str(tmp_path / "model")]
    output = run("predict", *arguments, "--out", str(tmp_path / "out.csv"))
    assert "version 1 is not active: does not beat the built-in model" in output
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 31
    assert "active: does not beat" in run("train", *options(path, tmp_path / "model"), "--force")
    assert (tmp_path / "model" / "current").read_text(encoding="utf-8").strip() == "2"


def test_predict_without_a_model_is_refused(tmp_path: Path) -> None:
    path = history(tmp_path, 5)
    arguments = ["--data", str(path), "--text", "текст инцидента", "--model", str(tmp_path / "none")]
    assert "holds no model" in run("predict", *arguments, "--out", str(tmp_path / "out.csv"), code=1)
    assert not (tmp_path / "out.csv").exists()


def test_unwritable_export_target_is_reported_before_any_request(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "out.csv"
    output = run("export", "--out", str(missing), "--url", "http://127.0.0.1:9", code=2)
    assert output == f"--out: {missing} cannot be written: No such file or directory\n"
