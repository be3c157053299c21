"""How sets of messages are scored."""

from pathlib import Path

import pytest

from bench.labelled_messages import Share, agreement, buryat, not_russian, scores

BLANK = dict.fromkeys(
    ("needs_answer", "type", "group", "top3", "urgency", "municipality", "settlement", "street", "language"), ""
)


def row(**values: str) -> dict[str, str]:
    """A row with what matters to a test."""
    return BLANK | values


def test_a_share_carries_wilsons_interval() -> None:
    share = Share(209, 212)
    assert str(share) == "0.986 [0.959–0.995] 209/212"
    assert share.figures == {"value": 0.9858, "low": 0.9592, "high": 0.9952, "part": 209, "whole": 212}
    assert Share(0, 0).interval == (0.0, 1.0)


def test_precision_is_over_what_was_said_and_recall_over_what_is_right() -> None:
    right = [
        row(needs_answer="yes", group="Дороги", municipality="Кабанский район"),
        row(needs_answer="yes", group="ЖКХ", municipality="город Улан-Удэ"),
        row(needs_answer="no"),
        row(needs_answer="no"),
    ]
    said = [
        row(needs_answer="yes", top3="ЖКХ|Дороги", municipality="Кабанский район"),
        row(needs_answer="no", top3=""),
        row(needs_answer="yes", municipality="Тункинский район"),
        row(needs_answer="no"),
    ]
    found = scores(right, said)
    told = {name: (share.part, share.whole) for name, share in found.items()}
    assert told["needs_answer precision"] == (1, 2)
    assert told["needs_answer recall"] == (1, 2)
    assert told["group first"] == (0, 2)
    assert told["group in three"] == (1, 2)
    assert told["municipality precision"] == (1, 1)
    assert told["municipality precision, all"] == (1, 2)
    assert told["municipality recall"] == (1, 2)


def test_readers_agree_beyond_chance() -> None:
    one = [row(urgency=value) for value in ("high", "high", "normal", "normal")]
    other = [row(urgency=value) for value in ("high", "normal", "normal", "normal")]
    equal, kappa = agreement(one, other, "urgency")
    assert (equal, kappa) == pytest.approx((0.75, 0.5))
    assert agreement(one, one, "urgency") == (1.0, 1.0)


def test_buryat_and_russian_files_are_counted(tmp_path: Path) -> None:
    sentences, posts = tmp_path / "sentences.txt", tmp_path / "posts.csv"
    sentences.write_text(
        "Эмнэлгэдэ эмшэн үгы, хаана ошохобиб?\n\nКогда починят дорогу в Кабанске?\n", encoding="utf-8"
    )
    posts.write_text("text\nКогда дадут воду?\nЭмнэлгэдэ эмшэн үгы\nСпасибо\n", encoding="utf-8")
    assert buryat(sentences) == Share(1, 2)
    assert not_russian(posts) == Share(1, 3)
