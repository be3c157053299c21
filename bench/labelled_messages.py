"""Sets of messages with what is right about them, never learnt from, and how well they are understood.

Each set in `data/messages` was written for the project by hand and read a second time by somebody who did not see
the first labels. Scores carry Wilson's 95 % intervals.
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

SETS = Path(__file__).parent / "data" / "messages"
Row = dict[str, str]


@dataclass(frozen=True)
class Share:
    """A share of a count, with its 95 % interval."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing is 0."""
        return self.part / self.whole if self.whole else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of 95 %."""
        if not self.whole:
            return 0.0, 1.0
        z, n, p = 1.959964, self.whole, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def figures(self) -> dict[str, float]:
        """The share, its interval and the counts, as JSON shows them."""
        low, high = (round(edge, 4) for edge in self.interval)
        return {"value": round(self.value, 4), "low": low, "high": high, "part": self.part, "whole": self.whole}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}–{high:.3f}] {self.part}/{self.whole}"


def read(path: Path) -> list[Row]:
    """Rows of a set."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def understood(rows: Sequence[Row]) -> list[Row]:
    """What `gospablik understand` says of them."""
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


def scores(rows: Sequence[Row], said: Sequence[Row]) -> dict[str, Share]:
    """Precision and recall of what matters, over a set. Group and place are asked of rows that need an answer."""
    both = list(zip(rows, said, strict=True))
    yes = [(row, found) for row, found in both if row["needs_answer"] == "yes"]
    return {
        **_found("needs_answer", "yes", both),
        **_found("urgency", "high", both),
        "group first": _share(row["group"] == found["top3"].split("|")[0] for row, found in yes),
        "group in three": _share(row["group"] in found["top3"].split("|") for row, found in yes),
        **_told("municipality", yes),
        # As a stricter reader counts: a place named where no answer is due is a mistake too.
        "municipality precision, all": _told("municipality", both)["municipality precision"],
        **_told("settlement", yes),
        **_told("street", yes),
        "language": _share(row["language"] == found["language"] for row, found in both),
        "type": _share(row["type"] == found["type"] for row, found in both),
        "type, asking merged": _share(_merged(row["type"]) == _merged(found["type"]) for row, found in both),
    }


def _share(flags: Iterable[bool]) -> Share:
    found = list(flags)
    return Share(sum(found), len(found))


def _merged(kind: str) -> str:
    return "asking" if kind in {"complaint", "question", "request"} else kind


def _found(column: str, value: str, pairs: Sequence[tuple[Row, Row]]) -> dict[str, Share]:
    hit = sum(row[column] == found[column] == value for row, found in pairs)
    return {
        f"{column} precision": Share(hit, sum(found[column] == value for _, found in pairs)),
        f"{column} recall": Share(hit, sum(row[column] == value for row, _ in pairs)),
    }


def _told(column: str, pairs: Sequence[tuple[Row, Row]]) -> dict[str, Share]:
    """Precision over what was said, recall over what is right."""
    right = sum(bool(row[column]) and row[column].lower() == found[column].lower() for row, found in pairs)
    return {
        f"{column} precision": Share(right, sum(bool(found[column]) for _, found in pairs)),
        f"{column} recall": Share(right, sum(bool(row[column]) for row, _ in pairs)),
    }


def agreement(first: Sequence[Row], second: Sequence[Row], column: str) -> tuple[float, float]:
    """Share of equal labels of two readers, and Cohen's kappa."""
    pairs = [(one[column], other[column]) for one, other in zip(first, second, strict=True)]
    equal = sum(one == other for one, other in pairs) / len(pairs)
    left, right = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(left[label] * right[label] for label in left) / len(pairs) ** 2
    return equal, (equal - chance) / (1 - chance) if chance < 1 else 1.0


def buryat(sentences: Path) -> Share:
    """The share of Buryat sentences, one a line, that are told to be Buryat."""
    told = [line for line in sentences.read_text(encoding="utf-8").splitlines() if line.strip()]
    return _share(detect_language(line) == "bxr" for line in told)


def not_russian(posts: Path) -> Share:
    """The share of Russian posts (a CSV with `text`) that are taken for Buryat, wholly or in part."""
    return _share(detect_language(row["text"]) != "ru" for row in read(posts))
