"""Pairs of messages by one person in one thread are joined into one appeal or separated as labelled."""

from collections import Counter

import pytest

from bench import threads
from bench.labelled_messages import read
from services.appeals.classification.model.message_classifier import MessageClassifier

ROWS = read(threads.THREADS_DIR / "pairs.csv")


def test_every_pair_is_labelled_twice_and_half_is_held_out() -> None:
    assert len(ROWS) == 200
    assert Counter(row["part"] for row in ROWS) == {"development": 101, "held_out": 99}
    for name in ("first", "second"):
        labels = read(threads.THREADS_DIR / f"{name}_labels.csv")
        assert [row["id"] for row in labels] == [row["id"] for row in ROWS]
    assert {row["relation"] for row in ROWS} == {"same", "addition", "other", "thanks"}
    assert len({(row["first"], row["second"]) for row in ROWS}) == 200


@pytest.mark.parametrize("part", threads.PARTS)
def test_share_of_pairs_treated_as_labelled_reaches_the_bar(part: str) -> None:
    classifier = MessageClassifier.load()
    rows = [row for row in ROWS if row["part"] == part]
    found = threads.scores(rows, [threads.place_pair(classifier, row) for row in rows])
    assert found["joined or apart"].value >= threads.BAR, found
    assert found["topic after addition"].value >= threads.BAR, found
