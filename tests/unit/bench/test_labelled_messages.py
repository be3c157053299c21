"""Scores of labelled messages."""

from pathlib import Path

import pytest

from bench.labelled_messages import ShareWithInterval, agreement, buryat_false_positives, buryat_recall, scores

BLANK = dict.fromkeys(
    ("needs_answer", "type", "group", "top3", "urgency", "municipality", "settlement", "street", "language"), ""
)


def row(**values: str) -> dict[str, str]:
    """Return a row with the given values."""
    return BLANK | values


def test_share_has_wilson_interval() -> None:
    share = ShareWithInterval(209, 212)
    assert str(share) == "0.986 [0.959–0.995] 209/212"
    assert share.figures == {"value": 0.9858, "low": 0.9592, "high": 0.9952, "part": 209, "whole": 212}
    assert ShareWithInterval(0, 0).interval == (0.0, 1.0)


def test_precision_is_over_predicted_and_recall_over_correct_values() -> None:
    correct = [
        row(needs_answer="yes", group="Дороги", municipality="Кабанский район"),
        row(needs_answer="yes", group="ЖКХ", municipality="город Улан-Удэ"),
        row(needs_answer="no"),
        row(needs_answer="no"),
    ]
    predicted = [
        row(needs_answer="yes", top3="ЖКХ|Дороги", municipality="Кабанский район"),
        row(needs_answer="no", top3=""),
        row(needs_answer="yes", municipality="Тункинский район"),
        row(needs_answer="no"),
    ]
    found = scores(correct, predicted)
    counts = {name: (share.part, share.whole) for name, share in found.items()}
    assert counts["needs_answer precision"] == (1, 2)
    assert counts["needs_answer recall"] == (1, 2)
    assert counts["group first"] == (0, 2)
    assert counts["group in three"] == (1, 2)
    assert counts["municipality precision"] == (1, 1)
    assert counts["municipality precision, all"] == (1, 2)
    assert counts["municipality recall"] == (1, 2)


def test_agreement_is_corrected_for_chance() -> None:
    one = [row(urgency=value) for value in ("high", "high", "normal", "normal")]
    other = [row(urgency=value) for value in ("high", "normal", "normal", "normal")]
    equal, kappa = agreement(one, other, "urgency")
    assert (equal, kappa) == pytest.approx((0.75, 0.5))
    assert agreement(one, one, "urgency") == (1.0, 1.0)


def test_buryat_detection_is_scored(tmp_path: Path) -> None:
    sentences, posts = tmp_path / "sentences.txt", tmp_path / "posts.csv"
    sentences.write_text(
        "Эмнэлгэдэ эмшэн үгы, хаана ошохобиб?\n\nКогда починят дорогу в Кабанске?\n", encoding="utf-8"
    )
    posts.write_text("text\nКогда дадут воду?\nЭмнэлгэдэ эмшэн үгы\nСпасибо\n", encoding="utf-8")
    assert buryat_recall(sentences) == ShareWithInterval(1, 2)
    assert buryat_false_positives(posts) == ShareWithInterval(1, 3)
