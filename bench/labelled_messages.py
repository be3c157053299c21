"""Labelled messages that no model is trained on, and the classifier's scores on these messages.

Each set in `data/messages` was written by hand for the project. A second annotator labelled it without seeing the
first labels. Scores have 95 % Wilson intervals.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from services.appeals.classification.csv_row import csv_rows
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.text.language_detection import detect_language
from services.appeals.classification.types import MessageContext

MESSAGE_SETS_DIR = Path(__file__).parent / "data" / "messages"
Row = dict[str, str]


@dataclass(frozen=True)
class ShareWithInterval:
    """A share of a count, with its 95 % Wilson interval."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """Return the share; 0 if the count is 0."""
        return self.part / self.whole if self.whole else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval, (low, high)."""
        if not self.whole:
            return 0.0, 1.0
        z, n, p = 1.959964, self.whole, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def figures(self) -> dict[str, float]:
        """Return the share, its interval and the counts, for JSON."""
        low, high = (round(edge, 4) for edge in self.interval)
        return {"value": round(self.value, 4), "low": low, "high": high, "part": self.part, "whole": self.whole}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}–{high:.3f}] {self.part}/{self.whole}"


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def classify_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the classification of each row, in the columns of `gospablik classify`."""
    items = [
        (
            row["text"],
            MessageContext(
                kind=row["kind"],  # type: ignore[arg-type]
                post_text=row["post_context"] or None,
                page_owner=row["page_owner"] or None,
                page_municipality=row["page_municipality"] or None,
            ),
        )
        for row in rows
    ]
    return csv_rows(MessageClassifier.load(), items)


def scores(rows: Sequence[Row], predicted: Sequence[Row]) -> dict[str, ShareWithInterval]:
    """Return precision and recall on a set; for topic group and location only on rows that need an answer."""
    both = list(zip(rows, predicted, strict=True))
    needing_answer = [(row, found) for row, found in both if row["needs_answer"] == "yes"]
    return {
        **_value_scores("needs_answer", "yes", both),
        **_value_scores("urgency", "high", both),
        "group first": _share(row["group"] == found["top3"].split("|")[0] for row, found in needing_answer),
        "group in three": _share(row["group"] in found["top3"].split("|") for row, found in needing_answer),
        **_column_scores("municipality", needing_answer),
        # The stricter score: a location found in a message that needs no answer counts as an error.
        "municipality precision, all": _column_scores("municipality", both)["municipality precision"],
        **_column_scores("settlement", needing_answer),
        **_column_scores("street", needing_answer),
        "language": _share(row["language"] == found["language"] for row, found in both),
        "type": _share(row["type"] == found["type"] for row, found in both),
        "type, asking merged": _share(
            _merge_requests(row["type"]) == _merge_requests(found["type"]) for row, found in both
        ),
    }


def _share(flags: Iterable[bool]) -> ShareWithInterval:
    found = list(flags)
    return ShareWithInterval(sum(found), len(found))


def _merge_requests(kind: str) -> str:
    return "asking" if kind in {"complaint", "question", "request"} else kind


def _value_scores(column: str, value: str, pairs: Sequence[tuple[Row, Row]]) -> dict[str, ShareWithInterval]:
    correct = sum(row[column] == found[column] == value for row, found in pairs)
    return {
        f"{column} precision": ShareWithInterval(correct, sum(found[column] == value for _, found in pairs)),
        f"{column} recall": ShareWithInterval(correct, sum(row[column] == value for row, _ in pairs)),
    }


def _column_scores(column: str, pairs: Sequence[tuple[Row, Row]]) -> dict[str, ShareWithInterval]:
    """Return the precision of the predicted values and the recall of the labelled values."""
    correct = sum(bool(row[column]) and row[column].lower() == found[column].lower() for row, found in pairs)
    return {
        f"{column} precision": ShareWithInterval(correct, sum(bool(found[column]) for _, found in pairs)),
        f"{column} recall": ShareWithInterval(correct, sum(bool(row[column]) for row, _ in pairs)),
    }


def agreement(first: Sequence[Row], second: Sequence[Row], column: str) -> tuple[float, float]:
    """Return the share of equal labels of two annotators, and Cohen's kappa."""
    pairs = [(one[column], other[column]) for one, other in zip(first, second, strict=True)]
    equal = sum(one == other for one, other in pairs) / len(pairs)
    first_counts, second_counts = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(count * second_counts[label] for label, count in first_counts.items()) / len(pairs) ** 2
    return equal, (equal - chance) / (1 - chance) if chance < 1 else 1.0


def buryat_recall(sentences: Path) -> ShareWithInterval:
    """Return the share of Buryat sentences, one per line, that are detected as Buryat."""
    lines = [line for line in sentences.read_text(encoding="utf-8").splitlines() if line.strip()]
    return _share(detect_language(line) == "bxr" for line in lines)


def buryat_false_positives(posts: Path) -> ShareWithInterval:
    """Return the share of Russian posts (a CSV with `text`) detected as Buryat, wholly or in part."""
    return _share(detect_language(row["text"]) != "ru" for row in read(posts))
