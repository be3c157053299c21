"""How good a classifier is: shares of right answers, honesty of its confidence, how much it can do by itself."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

from services.appeals.classification.model.text_classifier import Blind, TextClassifier
from services.appeals.classification.training.labelled_data import Labelled

Floats = npt.NDArray[np.float64]
Rights = npt.NDArray[np.bool_]

BINS = 10
WANTED = 0.94
TEST_SHARE = 0.2
TOP = 3


@dataclass(frozen=True)
class Scores:
    """Of `rows` texts; every figure is a share from 0 to 1.

    `calibration_error`: the expected calibration error over ten bins of equally many rows. `coverage` of the texts
    reach the threshold of the automatic mode, `covered_accuracy` of those are right. Those three are absent where
    no confidence is told, `covered_accuracy` also where nothing is covered.
    """

    rows: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    top3: float
    calibration_error: float | None = None
    coverage: float | None = None
    covered_accuracy: float | None = None


FIGURES = (
    "accuracy", "weighted_f1", "macro_f1", "top3", "calibration_error", "coverage", "covered_accuracy",
)  # fmt: skip


def calibration_error(confidences: Floats, right: Rights, bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of confidence and share of right answers over bins of equally
    many rows, sorted by confidence.
    """
    order = np.argsort(confidences, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(
        sum(abs(confidences[part].mean() - right[part].mean()) * len(part) for part in parts) / len(confidences)
    )


def threshold(confidences: Floats, right: Rights, wanted: float) -> float | None:
    """The least confidence from which on at least `wanted` of the answers are right; None when there is none.

    Equal confidences stay together.
    """
    order = np.argsort(-confidences, kind="stable")
    sorted_down = confidences[order]
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(sorted_down[1:] < sorted_down[:-1], True)
    good = np.flatnonzero((shares >= wanted) & ends)
    return float(sorted_down[good[-1]]) if len(good) else None


def covered(confidences: Floats, right: Rights, least: float | None) -> tuple[float, float | None]:
    """The share of answers at least so sure, and the share of right ones among them."""
    sure = confidences >= (np.inf if least is None else least)
    return float(sure.mean()), float(right[sure].mean()) if sure.any() else None


def score(
    answers: Sequence[Sequence[str]],
    truth: Sequence[str],
    confidences: Floats | None = None,
    least: float | None = None,
    *,
    judged: Collection[str] = (),
) -> Scores:
    """Scores of ranked answers, best first. `least`: the threshold of the automatic mode, None for none.

    `judged`: the labels whose mean is macro F1; none given: all that were said or are true.
    """
    first = [labels[0] for labels in answers]
    right = np.array([said == true for said, true in zip(first, truth, strict=True)])
    share, among = (None, None) if confidences is None else covered(confidences, right, least)
    return Scores(
        rows=len(truth),
        accuracy=float(right.mean()),
        weighted_f1=float(f1_score(truth, first, average="weighted", zero_division=0)),
        macro_f1=float(f1_score(truth, first, labels=sorted(judged) or None, average="macro", zero_division=0)),
        top3=float(np.mean([true in labels[:TOP] for labels, true in zip(answers, truth, strict=True)])),
        calibration_error=None if confidences is None else calibration_error(confidences, right),
        coverage=share,
        covered_accuracy=among,
    )


def score_classifier(classifier: TextClassifier, data: Labelled, least: float | None) -> Scores:
    """Scores of a classifier on texts that it has not learnt from."""
    ranked = classifier.rank(data.texts, TOP)
    return score(
        [found.labels for found in ranked],
        data.labels,
        np.array([found.confidence for found in ranked]),
        least,
    )


def blind_answers(classifier: TextClassifier, blind: Blind) -> list[tuple[str, ...]]:
    """The best labels of rows held back in training."""
    order = np.argsort(-blind.chances, axis=1, kind="stable")[:, :TOP]
    return [tuple(classifier.labels[at] for at in row) for row in order]


def blind_threshold(
    classifier: TextClassifier, blind: Blind, labels: Sequence[str], wanted: float
) -> float | None:
    """The threshold of the automatic mode, chosen by the rows held back in training."""
    first = [row[0] for row in blind_answers(classifier, blind)]
    right = np.array([said == labels[at] for said, at in zip(first, blind.rows, strict=True)])
    return threshold(np.round(blind.confidences, 4), right, wanted)


def plain_tool(learnt: Labelled, tried: Labelled) -> Scores:
    """What the tools of the trade give without further thought: TF-IDF of words and characters, a linear SVM."""
    parts = [TfidfVectorizer(), TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5))]
    rows = sparse.hstack([part.fit_transform(learnt.texts) for part in parts], format="csr")
    machine = LinearSVC().fit(rows, learnt.labels)
    margins = machine.decision_function(
        sparse.hstack([part.transform(tried.texts) for part in parts], format="csr")
    )
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    order = np.argsort(-margins, axis=1, kind="stable")[:, :TOP]
    return score([tuple(machine.classes_[row]) for row in order], tried.labels)


@dataclass(frozen=True)
class Splits:
    """Scores of one way over several splits."""

    ours: list[Scores]
    plain: list[Scores]


def by_splits(
    data: Labelled, seeds: Sequence[int], wanted: float, done: Callable[[int, Scores, Scores], None]
) -> Splits:
    """Learn from four fifths and try the last, once per seed; `done` is told each result.

    The split is that of scikit-learn's `train_test_split` with the seed as `random_state`. The threshold of the
    automatic mode comes from rows held back within the four fifths. Raises `ValueError` when there is too little.
    """
    found = Splits([], [])
    for seed in seeds:
        learn, tried = (
            data.part(places)
            for places in train_test_split(range(len(data.texts)), test_size=TEST_SHARE, random_state=seed)
        )
        classifier, blind = TextClassifier.learn(learn.texts, learn.labels, names=learn.names)
        least = blind_threshold(classifier, blind, learn.labels, wanted)
        found.ours.append(score_classifier(classifier, tried, least))
        found.plain.append(plain_tool(learn, tried))
        done(seed, found.ours[-1], found.plain[-1])
    return found


def mean_and_spread(scores: Sequence[Scores], figure: str) -> tuple[float, float] | None:
    """Mean and standard deviation of a figure over splits, those left out where it is absent; None for none."""
    values = [value for one in scores if (value := getattr(one, figure)) is not None]
    return (float(np.mean(values)), float(np.std(values))) if values else None
