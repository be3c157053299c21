"""Evaluation of a classifier: accuracy, calibration, and how much it can decide automatically."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

from services.appeals.classification.model.text_classifier import OutOfFoldPredictions, TextClassifier
from services.appeals.classification.training.labelled_data import LabelledData

Floats = npt.NDArray[np.float64]
Rights = npt.NDArray[np.bool_]

CALIBRATION_BINS = 10
DEFAULT_TARGET_ACCURACY = 0.94
TEST_SHARE = 0.2
TOP_LABELS = 3


@dataclass(frozen=True)
class Scores:
    """Scores of `rows` texts; every score is a share from 0 to 1.

    `calibration_error`: expected calibration error over ten bins of equal size. `coverage` is the share of texts
    that reach the threshold of the automatic mode, `covered_accuracy` the share of right answers among them. These
    three are None without confidences; `covered_accuracy` is also None if no text is covered.
    """

    rows: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    top3: float
    calibration_error: float | None = None
    coverage: float | None = None
    covered_accuracy: float | None = None


SCORE_NAMES = (
    "accuracy", "weighted_f1", "macro_f1", "top3", "calibration_error", "coverage", "covered_accuracy",
)  # fmt: skip


def calibration_error(confidences: Floats, right: Rights, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error: the mean distance between confidence and accuracy over bins of equal
    size, sorted by confidence.
    """
    order = np.argsort(confidences, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(
        sum(abs(confidences[part].mean() - right[part].mean()) * len(part) for part in parts) / len(confidences)
    )


def confidence_threshold(confidences: Floats, right: Rights, wanted: float) -> float | None:
    """Return the lowest confidence such that at least the share `wanted` of the answers with it or a higher one
    are right; None if there is none. Answers with equal confidence are not separated.
    """
    order = np.argsort(-confidences, kind="stable")
    sorted_down = confidences[order]
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(sorted_down[1:] < sorted_down[:-1], True)
    good = np.flatnonzero((shares >= wanted) & ends)
    return float(sorted_down[good[-1]]) if len(good) else None


def coverage(confidences: Floats, right: Rights, least: float | None) -> tuple[float, float | None]:
    """Return the share of answers with at least this confidence, and the share of right answers among these."""
    sure = confidences >= (np.inf if least is None else least)
    return float(sure.mean()), float(right[sure].mean()) if sure.any() else None


def score(
    answers: Sequence[Sequence[str]],
    truth: Sequence[str],
    confidences: Floats | None = None,
    least: float | None = None,
    *,
    scored_labels: Collection[str] = (),
) -> Scores:
    """Return the scores of answers, each a list of labels, best first. `least`: the threshold of the automatic
    mode, or None. `scored_labels`: the labels of the macro F1; by default all predicted and true labels.
    """
    first = [labels[0] for labels in answers]
    right = np.array([said == true for said, true in zip(first, truth, strict=True)])
    share, among = (None, None) if confidences is None else coverage(confidences, right, least)
    return Scores(
        rows=len(truth),
        accuracy=float(right.mean()),
        weighted_f1=float(f1_score(truth, first, average="weighted", zero_division=0)),
        macro_f1=float(
            f1_score(truth, first, labels=sorted(scored_labels) or None, average="macro", zero_division=0)
        ),
        top3=float(np.mean([true in labels[:TOP_LABELS] for labels, true in zip(answers, truth, strict=True)])),
        calibration_error=None if confidences is None else calibration_error(confidences, right),
        coverage=share,
        covered_accuracy=among,
    )


def score_classifier(classifier: TextClassifier, data: LabelledData, least: float | None) -> Scores:
    """Return the scores of a classifier on texts that it was not trained on."""
    ranked = classifier.rank(data.texts, TOP_LABELS)
    return score(
        [found.labels for found in ranked],
        data.labels,
        np.array([found.confidence for found in ranked]),
        least,
    )


def out_of_fold_answers(classifier: TextClassifier, blind: OutOfFoldPredictions) -> list[tuple[str, ...]]:
    """Return the best labels of the rows held out in training."""
    order = np.argsort(-blind.probabilities, axis=1, kind="stable")[:, :TOP_LABELS]
    return [tuple(classifier.labels[at] for at in row) for row in order]


def out_of_fold_threshold(
    classifier: TextClassifier, blind: OutOfFoldPredictions, labels: Sequence[str], wanted: float
) -> float | None:
    """Return the threshold of the automatic mode, chosen on the rows held out in training."""
    first = [row[0] for row in out_of_fold_answers(classifier, blind)]
    right = np.array([said == labels[at] for said, at in zip(first, blind.rows, strict=True)])
    return confidence_threshold(np.round(blind.confidences, 4), right, wanted)


def baseline_scores(learnt: LabelledData, tried: LabelledData) -> Scores:
    """Return the scores of a standard baseline: TF-IDF of words and characters, a linear SVM."""
    parts = [TfidfVectorizer(), TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5))]
    rows = sparse.hstack([part.fit_transform(learnt.texts) for part in parts], format="csr")
    machine = LinearSVC().fit(rows, learnt.labels)
    margins = machine.decision_function(
        sparse.hstack([part.transform(tried.texts) for part in parts], format="csr")
    )
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    order = np.argsort(-margins, axis=1, kind="stable")[:, :TOP_LABELS]
    return score([tuple(machine.classes_[row]) for row in order], tried.labels)


@dataclass(frozen=True)
class SplitScores:
    """Scores of our classifier and of the baseline, one per split."""

    ours: list[Scores]
    baseline: list[Scores]


def evaluate_splits(
    data: LabelledData, seeds: Sequence[int], wanted: float, done: Callable[[int, Scores, Scores], None]
) -> SplitScores:
    """Train on four fifths and test on the rest, once per seed; call `done` with each result. Return the scores by
    method.

    The split is scikit-learn's `train_test_split` with the seed as `random_state`. The threshold of the automatic
    mode comes from rows held out within the four fifths. Raises `ValueError` if there is too little data.
    """
    found = SplitScores([], [])
    for seed in seeds:
        learn, tried = (
            data.part(places)
            for places in train_test_split(range(len(data.texts)), test_size=TEST_SHARE, random_state=seed)
        )
        classifier, blind = TextClassifier.fit(learn.texts, learn.labels, names=learn.names)
        least = out_of_fold_threshold(classifier, blind, learn.labels, wanted)
        found.ours.append(score_classifier(classifier, tried, least))
        found.baseline.append(baseline_scores(learn, tried))
        done(seed, found.ours[-1], found.baseline[-1])
    return found


def mean_and_spread(scores: Sequence[Scores], figure: str) -> tuple[float, float] | None:
    """Return mean and standard deviation of a score over the splits that have it; None if no split has it."""
    values = [value for one in scores if (value := getattr(one, figure)) is not None]
    return (float(np.mean(values)), float(np.std(values))) if values else None
