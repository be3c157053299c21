"""Training of a custom model from a table, and the decision whether it replaces the active one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model import word_vectors
from services.appeals.classification.model.calibration import Ints
from services.appeals.classification.model.custom_model import LabelMapping, TopicEnsemble
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.model.model_store import ModelStore, StoredModel, TextDigests, text_digests
from services.appeals.classification.model.text_classifier import (
    FOLDS,
    FORMAT_VERSION,
    SINGLE_FOLD_FROM_ROWS,
    OutOfFoldPredictions,
    TextClassifier,
)
from services.appeals.classification.training.evaluation import (
    DEFAULT_TARGET_ACCURACY,
    TOP_LABELS,
    Scores,
    out_of_fold_answers,
    out_of_fold_threshold,
    score,
)
from services.appeals.classification.training.labelled_data import LabelledData
from shared import clock
from shared.topic_taxonomy import TaxonomyEntry

Probabilities = npt.NDArray[Any]

# Target accuracies of the automatic mode; the card contains threshold and coverage for each.
TARGET_ACCURACIES = tuple(percent / 100 for percent in range(80, 100))
_PORTION = 2_000


@dataclass(frozen=True)
class ScorePair:
    """Scores of two models on the same rows, on which neither was trained."""

    new: Scores
    present: Scores
    only_new_right: int
    only_present_right: int


@dataclass(frozen=True)
class ModelComparison:
    """The comparison of a new model with another one, or the reason why they were not compared."""

    other: str
    comparison: ScorePair | None = None
    obstacle: str = ""

    @property
    def won(self) -> bool:
        """Return whether the new model beats the other."""
        return self.comparison is not None and is_better(self.comparison.new, self.comparison.present)

    def describe(self) -> str:
        """Return the outcome in words."""
        if self.comparison is None:
            return self.obstacle
        new, old = self.comparison.new, self.comparison.present
        return (
            f"{'beats' if self.won else 'does not beat'} {self.other} on {new.rows} rows that neither was trained "
            f"on: weighted F1 {new.weighted_f1:.3f} against {old.weighted_f1:.3f} "
            f"({new.weighted_f1 - old.weighted_f1:+.3f}), accuracy {new.accuracy:.3f} against {old.accuracy:.3f}; "
            f"{self.comparison.only_new_right} rows only the new one has right, "
            f"{self.comparison.only_present_right} only the other"
        )


@dataclass(frozen=True)
class TrainingOutcome:
    """The result of a training: the new version, whether it is active, and why.

    `comparison` is with the version that was active, `built_in` with the built-in model.
    """

    version: int
    activated: bool
    why: str
    scores: Scores
    comparison: ScorePair | None
    built_in: ScorePair | None


@dataclass(frozen=True)
class TrainingSource:
    """The source of the rows, for the card."""

    path: Path
    digest: str
    text: str
    label: str


def is_better(new: Scores, present: Scores) -> bool:
    """Return whether the new scores beat the present ones: by weighted F1, then by accuracy. Equal scores are not
    better.
    """
    return (new.weighted_f1, new.accuracy) > (present.weighted_f1, present.accuracy)


def train_custom_model(
    data: LabelledData, store: ModelStore, source: TrainingSource, *, force: bool = False
) -> TrainingOutcome:
    """Train a model, save it as a new version, and activate the version if it beats the models in use: the
    folder's active version and, if the labels are topics of this system, the built-in model. Models are compared
    on rows on which neither was trained; for the new model these are rows held out in training, predicted by a
    model that has not seen them. `force` activates the version anyway. Raises `ValueError` for too few texts or
    labels, `ModelStoreError` for a folder whose model cannot be read.
    """
    number = store.active_version()
    present = None if number is None else store.load(number)
    classifier, blind = TextClassifier.fit(data.texts, data.labels, names=data.names)
    learnt = text_digests(data.texts)
    labels = LabelMapping.of(Counter(data.labels))
    against_present = None if present is None else _against_present(classifier, blind, data, learnt, present)
    against_built_in = None if labels.unusable_reason() else _against_built_in(classifier, blind, data, labels)
    trials = [trial for trial in (against_present, against_built_in) if trial is not None]
    takes_over = force or all(trial.won for trial in trials)
    why = _why(trials, labels, takes_over=takes_over)
    comparison = against_present.comparison if against_present else None
    built_in = against_built_in.comparison if against_built_in else None
    least = out_of_fold_threshold(classifier, blind, data.labels, DEFAULT_TARGET_ACCURACY)
    scores = _blind_score(classifier, blind, data, np.arange(len(blind.rows)), least)
    card = _card(data, source, classifier, blind, scores) | {
        "labels_without_class": dict(labels.unmapped),
        "held_out": None if comparison is None else asdict(comparison),
        "built_in": None if built_in is None else asdict(built_in),
        "took_over": takes_over,
        "why": why,
    }
    made = store.save(classifier, card, learnt)
    if takes_over:
        store.activate(made)
    return TrainingOutcome(made, takes_over, why, scores, comparison, built_in)


def _why(trials: Sequence[ModelComparison], labels: LabelMapping, *, takes_over: bool) -> str:
    said = [trial.describe() for trial in trials] or ["no model was active"]
    if obstacle := labels.unusable_reason():
        said.append(f"cannot classify the messages of this system: {obstacle}")
    elif labels.unmapped:
        said.append(f"left to the built-in model: {labels.describe_unmapped()}")
    if takes_over and not all(trial.won for trial in trials):
        said.append("activated anyway, as requested")
    return "; ".join(said)


def _blind_score(
    classifier: TextClassifier, blind: OutOfFoldPredictions, data: LabelledData, places: Ints, least: float | None
) -> Scores:
    answers = out_of_fold_answers(classifier, blind)
    truth = [data.labels[blind.rows[at]] for at in places]
    counted = Counter(data.labels)
    return score(
        [answers[at] for at in places],
        truth,
        np.round(blind.confidences[places], 4),
        least,
        # Labels with a single row are left out: no model can know a label while its only row is held out.
        scored_labels={label for label in truth if counted[label] > 1},
    )


def _against_present(
    classifier: TextClassifier,
    blind: OutOfFoldPredictions,
    data: LabelledData,
    learnt: TextDigests,
    present: StoredModel,
) -> ModelComparison:
    other = f"version {present.version}"
    if not set(classifier.labels) & set(present.classifier.labels):
        return ModelComparison(
            other, obstacle=f"it has no label in common with {other}: save it in a separate folder"
        )
    new_rows = ~np.isin(learnt, present.training_digests)
    places = _fair(blind, data, new_rows)
    if not len(places):
        return ModelComparison(
            other,
            obstacle=f"nothing can be compared: {int((~new_rows).sum())} of {len(data.texts)} rows are among "
            f"those {other} was trained on, and labels with a single row cannot be held out",
        )
    rows = blind.rows[places]
    theirs = [found.labels for found in present.classifier.rank([data.texts[row] for row in rows], TOP_LABELS)]
    answers = out_of_fold_answers(classifier, blind)
    return ModelComparison(
        other, _compared([answers[at] for at in places], theirs, [data.labels[row] for row in rows])
    )


def _against_built_in(
    classifier: TextClassifier, blind: OutOfFoldPredictions, data: LabelledData, labels: LabelMapping
) -> ModelComparison:
    """Compare the new model, combined with the built-in one, with the built-in model alone."""
    other = "the built-in model"
    places = _fair(blind, data, np.array([label in labels.mapped for label in data.labels]))
    built_in = MessageClassifier.load()
    joint = TopicEnsemble(classifier.labels, labels, *built_in.labels)
    truth: list[str] = []
    ours: list[tuple[str, ...]] = []
    theirs: list[tuple[str, ...]] = []
    for start in range(0, len(places), _PORTION):
        part = places[start : start + _PORTION]
        true = [labels.mapped[data.labels[row]] for row in blind.rows[part]]
        by_group, by_topic = built_in.topic_probabilities([data.texts[row] for row in blind.rows[part]])
        ours += _answers(true, joint.combined(blind.probabilities[part], by_group, by_topic), built_in.labels)
        theirs += _answers(true, (by_group, joint.builtin_only(by_group, by_topic)), built_in.labels)
        truth += [one.code for one in true]
    return ModelComparison(other, _compared(ours, theirs, truth))


def _fair(blind: OutOfFoldPredictions, data: LabelledData, among: npt.NDArray[np.bool_]) -> Ints:
    """Return the indexes among the held-out rows on which models can be compared. The only row of a label cannot
    be both trained on and held out, so it cannot be used.
    """
    counted = Counter(data.labels)
    return np.array(
        [at for at, row in enumerate(blind.rows) if among[row] and counted[data.labels[row]] > 1], dtype=np.int64
    )


def _answers(
    true: Sequence[TaxonomyEntry],
    said: tuple[Probabilities, Probabilities],
    codes: tuple[Sequence[str], Sequence[str]],
) -> list[tuple[str, ...]]:
    """Return the best answers for each row: groups if the true label is a group, topics if it is a topic."""
    groups, topics = (
        [tuple(of[at] for at in row) for row in np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_LABELS]]
        for probabilities, of in zip(said, codes, strict=True)
    )
    return [topics[at] if one.group else groups[at] for at, one in enumerate(true)]


def _compared(
    ours: Sequence[tuple[str, ...]], theirs: Sequence[tuple[str, ...]], truth: Sequence[str]
) -> ScorePair:
    new_right = np.array([said[0] == true for said, true in zip(ours, truth, strict=True)])
    present_right = np.array([said[0] == true for said, true in zip(theirs, truth, strict=True)])
    return ScorePair(
        score(ours, truth),
        score(theirs, truth),
        int((new_right & ~present_right).sum()),
        int((present_right & ~new_right).sum()),
    )


def _card(
    data: LabelledData,
    source: TrainingSource,
    classifier: TextClassifier,
    blind: OutOfFoldPredictions,
    scores: Scores,
) -> dict[str, Any]:
    counted = Counter(data.labels)
    return {
        "made_at": clock.now().isoformat(timespec="seconds"),
        "code": _code(),
        "format": FORMAT_VERSION,
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
            "labels_with_one_row": sum(1 for count in counted.values() if count == 1),
        },
        "features": {
            "words": "lemmas and pairs of them, pieces of 2 to 5 letters, TF-IDF",
            "vectors": word_vectors.EMBEDDINGS_NAME,
            "names_of_classes": "learnt from like a text",
            "machine": "linear SVM, one against all",
        },
        "held_back": {"parts": 1 if len(data.texts) >= SINGLE_FOLD_FROM_ROWS else FOLDS, **asdict(scores)},
        "automatic": {
            f"{wanted:.2f}": _automatic(classifier, blind, data, wanted) for wanted in TARGET_ACCURACIES
        },
    }


def _automatic(
    classifier: TextClassifier, blind: OutOfFoldPredictions, data: LabelledData, wanted: float
) -> dict[str, float | None] | None:
    least = out_of_fold_threshold(classifier, blind, data.labels, wanted)
    if least is None:
        return None
    reached = _blind_score(classifier, blind, data, np.arange(len(blind.rows)), least)
    return {"threshold": least, "coverage": reached.coverage, "accuracy": reached.covered_accuracy}


def _code() -> str:
    try:
        return version("gospablik")
    except PackageNotFoundError:
        return "run from its source"
