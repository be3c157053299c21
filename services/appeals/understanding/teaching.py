"""Teaching a classifier from a table and deciding whether it takes over from the one in force."""

from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from services.appeals.understanding import vectors
from services.appeals.understanding.calibration import Ints
from services.appeals.understanding.classifier import FOLDS, FORMAT, LARGE, Blind, TextClassifier
from services.appeals.understanding.evaluation import (
    TOP,
    WANTED,
    Scores,
    blind_answers,
    blind_threshold,
    score,
)
from services.appeals.understanding.labelled import Labelled
from services.appeals.understanding.model_store import Digests, Kept, Store, digests
from shared import clock

# How right the automatic mode may be asked to be: the card holds the threshold and the coverage of each.
WANTED_LEVELS = tuple(percent / 100 for percent in range(80, 100))


@dataclass(frozen=True)
class Comparison:
    """Both models on the same rows, which neither has learnt from."""

    new: Scores
    present: Scores
    only_new_right: int
    only_present_right: int


@dataclass(frozen=True)
class Outcome:
    """What became of a training: the version made, whether it is in force, and why."""

    version: int
    in_force: bool
    why: str
    scores: Scores
    comparison: Comparison | None


@dataclass(frozen=True)
class Source:
    """Where the rows came from: for the card."""

    path: Path
    digest: str
    text: str
    label: str


def is_better(new: Scores, present: Scores) -> bool:
    """Whether a model beats another on the same rows: by weighted F1, then by accuracy; a draw beats nobody."""
    return (new.weighted_f1, new.accuracy) > (present.weighted_f1, present.accuracy)


def teach(data: Labelled, store: Store, source: Source, *, force: bool = False) -> Outcome:
    """Train, keep as a new version, and put it in force when none is or when it beats the one that is.

    Both are compared on rows that neither has learnt from: of the new model's those held back in its training,
    each judged by a machine that has not seen it. `force` puts it in force anyway. Raises `ValueError` for too few
    texts or labels, `StoreError` for a folder whose model cannot be read.
    """
    number = store.current()
    present = None if number is None else store.load(number)
    classifier, blind = TextClassifier.learn(data.texts, data.labels, names=data.names)
    learnt = digests(data.texts)
    comparison, obstacle = (None, None) if present is None else _compare(classifier, blind, data, learnt, present)
    takes_over, why = _verdict(present, comparison, obstacle, force=force)
    least = blind_threshold(classifier, blind, data.labels, WANTED)
    scores = _blind_score(classifier, blind, data, np.arange(len(blind.rows)), least)
    card = _card(data, source, classifier, blind, scores) | {
        "held_out": None if comparison is None else asdict(comparison),
        "took_over": takes_over,
        "why": why,
    }
    made = store.keep(classifier, card, learnt)
    if takes_over:
        store.put_in_force(made)
    return Outcome(made, takes_over, why, scores, comparison)


def _blind_score(
    classifier: TextClassifier, blind: Blind, data: Labelled, places: Ints, least: float | None
) -> Scores:
    answers = blind_answers(classifier, blind)
    return score(
        [answers[at] for at in places],
        [data.labels[blind.rows[at]] for at in places],
        np.round(blind.confidences[places], 4),
        least,
    )


def _compare(
    classifier: TextClassifier, blind: Blind, data: Labelled, learnt: Digests, present: Kept
) -> tuple[Comparison | None, str | None]:
    if not set(classifier.labels) & set(present.classifier.labels):
        return None, (f"it has no label in common with version {present.version}: keep it in a folder of its own")
    counted = Counter(data.labels)
    new_rows = ~np.isin(learnt, present.learnt)
    places = np.array(
        [
            at
            for at, row in enumerate(blind.rows)
            # A label that stands once could not be both learnt and held back: it would judge neither model fairly.
            if new_rows[row] and counted[data.labels[row]] > 1
        ],
        dtype=np.int64,
    )
    if not len(places):
        known = int((~new_rows).sum())
        return None, (
            f"nothing is held out: {known} of {len(data.texts)} rows are among those version {present.version} "
            "has learnt from, and labels that stand once cannot be held back"
        )
    rows = blind.rows[places]
    truth = [data.labels[row] for row in rows]
    theirs = [found.labels for found in present.classifier.rank([data.texts[row] for row in rows], TOP)]
    answers = blind_answers(classifier, blind)
    ours = [answers[at] for at in places]
    new_right = np.array([said[0] == true for said, true in zip(ours, truth, strict=True)])
    present_right = np.array([said[0] == true for said, true in zip(theirs, truth, strict=True)])
    return Comparison(
        score(ours, truth),
        score(theirs, truth),
        int((new_right & ~present_right).sum()),
        int((present_right & ~new_right).sum()),
    ), None


def _verdict(
    present: Kept | None, comparison: Comparison | None, obstacle: str | None, *, force: bool
) -> tuple[bool, str]:
    if present is None:
        return True, "no model was in force"
    if comparison is None:
        return force, f"{obstacle}{'; taken all the same, as asked' if force else ''}"
    better = is_better(comparison.new, comparison.present)
    new, old = comparison.new, comparison.present
    why = (
        f"{'beats' if better else 'does not beat'} version {present.version} on {new.rows} rows that neither has "
        f"learnt from: weighted F1 {new.weighted_f1:.3f} against {old.weighted_f1:.3f} "
        f"({new.weighted_f1 - old.weighted_f1:+.3f}), accuracy {new.accuracy:.3f} against {old.accuracy:.3f}; "
        f"{comparison.only_new_right} rows only the new one has right, "
        f"{comparison.only_present_right} only the present one"
    )
    return better or force, f"{why}{'; taken all the same, as asked' if force and not better else ''}"


def _card(
    data: Labelled, source: Source, classifier: TextClassifier, blind: Blind, scores: Scores
) -> dict[str, Any]:
    counted = Counter(data.labels)
    return {
        "made_at": clock.now().isoformat(timespec="seconds"),
        "code": _code(),
        "format": FORMAT,
        "data": {
            "file": source.path.name,
            "sha256": source.digest,
            "text": source.text,
            "label": source.label,
            "names": data.names_column,
            "rows": len(data.texts),
            "without_text": len(data.without_text),
            "without_label": len(data.without_label),
            "personal_data": "masked before learning",
            "labels": dict(counted.most_common()),
            "labels_that_stand_once": sum(1 for count in counted.values() if count == 1),
        },
        "features": {
            "words": "lemmas and pairs of them, pieces of 2 to 5 letters, TF-IDF",
            "vectors": vectors.NAME,
            "names_of_classes": "learnt from like a text",
            "machine": "linear SVM, one against all",
        },
        "held_back": {"parts": 1 if len(data.texts) >= LARGE else FOLDS, **asdict(scores)},
        "automatic": {f"{wanted:.2f}": _automatic(classifier, blind, data, wanted) for wanted in WANTED_LEVELS},
    }


def _automatic(
    classifier: TextClassifier, blind: Blind, data: Labelled, wanted: float
) -> dict[str, float | None] | None:
    least = blind_threshold(classifier, blind, data.labels, wanted)
    if least is None:
        return None
    reached = _blind_score(classifier, blind, data, np.arange(len(blind.rows)), least)
    return {"threshold": least, "coverage": reached.coverage, "accuracy": reached.covered_accuracy}


def _code() -> str:
    try:
        return version("gospablik")
    except PackageNotFoundError:
        return "run from its source"
