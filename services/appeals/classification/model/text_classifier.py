"""A text classifier with calibrated confidence: a linear SVM whose margins are calibrated out of fold.

Training holds out each fold in turn; the margins of the held-out rows are calibrated to probabilities
(calibration.py). A label's name is also used as a training text, which helps labels with few examples.
"""

# ruff: noqa: PLC0415 - services only apply a trained model, and must not load libraries that only training needs

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.calibration import Calibration, Floats, Ints
from services.appeals.classification.model.sparse_rows import SparseRows
from services.appeals.classification.model.tfidf_features import TfidfFeatures
from services.appeals.classification.model.word_vectors import mean_vectors
from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH
from services.appeals.classification.text.tokenizer import CleanText, clean_text, tokenize
from shared.text.normalize import fold_text

FOLDS = 5
# With at least this many rows only one fold is held out: training twice instead of six times saves an hour.
SINGLE_FOLD_FROM_ROWS = 5_000
FORMAT_VERSION = 1
_SEED = 17
_C = 0.45
_TOLERANCE = 0.01
# With at least this many rows per label on average, labels are weighted by the inverse of their numbers of rows;
# otherwise by the inverse square root.
_ROWS_PER_CLASS = 30
_DIGIT = re.compile(r"\d")
_MAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_PORTION = 2_000


@dataclass(frozen=True)
class RankedLabels:
    """The best labels with their probabilities, best first, and the probability that the first is right (0–1)."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    confidence: float


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """Predictions for held-out rows: `rows` are indexes of the training data."""

    rows: Ints
    probabilities: Floats
    confidences: Floats


def mask_digits_and_mail(text: str) -> str:
    """Return the text for training: numbers and mail addresses are masked, so that the vocabulary does not contain
    them.
    """
    return _DIGIT.sub("0", _MAIL.sub(" ", text))


class _FeatureExtractor:
    """TF-IDF features joined with mean word vectors."""

    def __init__(self, features: TfidfFeatures) -> None:
        self.features = features

    @staticmethod
    def learn(texts: Sequence[str]) -> "_FeatureExtractor":
        return _FeatureExtractor(
            TfidfFeatures(least=2 + len(texts) // SINGLE_FOLD_FROM_ROWS).fit(
                [mask_digits_and_mail(text) for text in texts]
            )
        )

    def rows(self, texts: Sequence[str]) -> SparseRows:
        read = [CleanText.of(mask_digits_and_mail(text[:MAX_TEXT_LENGTH])) for text in texts]
        return SparseRows.beside([self.features.rows(read), mean_vectors(read)])


def _fit(rows: SparseRows, targets: Ints, weights: Floats, classes: int, counts: Ints) -> tuple[Floats, Floats]:
    """Return weights (classes × columns) and intercepts of one-vs-rest SVMs. A class without rows gets margin
    −1.
    """
    from scipy.sparse import csr_matrix
    from sklearn.svm import LinearSVC

    present = np.unique(targets)
    found = np.zeros((classes, rows.shape[1]))
    intercepts = np.full(classes, -1.0)
    if len(present) == 1:
        intercepts[present[0]] = 1.0
        return found, intercepts
    power = 1.0 if counts.sum() >= _ROWS_PER_CLASS * len(present) else 0.5
    shares = (counts.sum() / len(present) / np.maximum(counts, 1)) ** power
    machine = LinearSVC(
        C=_C, tol=_TOLERANCE, class_weight={int(at): float(shares[at]) for at in present}, random_state=_SEED
    ).fit(csr_matrix((rows.data, rows.indices, rows.indptr), rows.shape), targets, sample_weight=weights)
    if len(present) == 2:
        found[present[1]], intercepts[present[1]] = machine.coef_[0], machine.intercept_[0]
        found[present[0]], intercepts[present[0]] = -machine.coef_[0], -machine.intercept_[0]
    else:
        found[present], intercepts[present] = machine.coef_, machine.intercept_
    return found, intercepts


def is_descriptive_label(label: str) -> bool:
    """Return whether a label consists of words and is not a code."""
    return any(len(word) > 2 and word.isalpha() for word in tokenize(fold_text(label)))


@dataclass(frozen=True)
class _TrainingRows:
    """The training data: texts, the indexes of their labels, weights, and the names of each row's label."""

    texts: Sequence[str]
    targets: Ints
    weights: Floats
    names: Sequence[frozenset[str]]
    classes: int

    def machine(self, at: Ints) -> tuple[_FeatureExtractor, Floats, Floats]:
        """Train on the rows at these indexes and on their labels' names; return features, weights, intercepts."""
        called = sorted({(name, int(self.targets[row])) for row in at for name in self.names[int(row)]})
        texts = [self.texts[int(row)] for row in at] + [name for name, _ in called]
        extractor = _FeatureExtractor.learn(texts)
        fitted = _fit(
            extractor.rows(texts),
            np.concatenate([self.targets[at], np.array([target for _, target in called], dtype=np.int64)]),
            np.concatenate([self.weights[at], np.ones(len(called))]),
            self.classes,
            np.bincount(self.targets[at], minlength=self.classes),
        )
        return extractor, *fitted

    def blind(self) -> tuple[Ints, Floats]:
        """Return the held-out rows, and the margins of models trained without them and without equal texts."""
        _, same = np.unique([fold_text(text).strip() for text in self.texts], return_inverse=True)
        part = np.random.default_rng(_SEED).permutation(same.max() + 1)[same] % FOLDS
        held_back = []
        margins = []
        for turn in range(1 if len(self.texts) >= SINGLE_FOLD_FROM_ROWS else FOLDS):
            held, learn = np.flatnonzero(part == turn), np.flatnonzero(part != turn)
            if not len(held) or not len(learn):
                continue
            extractor, weights, intercepts = self.machine(learn)
            held_back.append(held)
            margins.append(
                np.asarray(extractor.rows([self.texts[int(at)] for at in held]) @ weights.T) + intercepts
            )
        return np.concatenate(held_back), np.concatenate(margins)


class TextClassifier:
    """A trained classifier: labels, features and weights. `train` creates it; `state` and `of` convert it to
    arrays and back.
    """

    def __init__(
        self,
        labels: Sequence[str],
        extractor: _FeatureExtractor,
        weights: npt.NDArray[np.float16],
        intercepts: npt.NDArray[np.float32],
        calibration: Calibration,
    ) -> None:
        """`weights` has the shape columns × labels."""
        self.labels = tuple(labels)
        self._sight = extractor
        self._kept = weights
        self._weights = np.ascontiguousarray(weights.astype(np.float32))
        self._intercepts = intercepts
        self._calibration = calibration
        self._named = np.array(self.labels, dtype=object)

    @staticmethod
    def train(
        texts: Sequence[str],
        labels: Sequence[str],
        weights: Sequence[float] | None = None,
        names: Sequence[str | None] | None = None,
    ) -> "TextClassifier":
        """Train on texts with one label each; see `fit`."""
        return TextClassifier.fit(texts, labels, weights, names)[0]

    @staticmethod
    def fit(
        texts: Sequence[str],
        labels: Sequence[str],
        weights: Sequence[float] | None = None,
        names: Sequence[str | None] | None = None,
    ) -> tuple["TextClassifier", OutOfFoldPredictions]:
        """Train, and return the classifier with its predictions for held-out rows.

        `weights`: the weight of each row, 1 by default. `names`: a name in words for each row's label, for example
        its topic if the label is a group; a label in words is its own name. Raises `ValueError` for fewer than
        `FOLDS` different texts or fewer than two labels.
        """
        known = sorted(set(labels))
        if len(known) < 2 or len({fold_text(text).strip() for text in texts}) < FOLDS:
            raise ValueError(f"training needs at least {FOLDS} different texts and two labels")
        place = {label: at for at, label in enumerate(known)}
        called = [
            frozenset(name for name in (label, given) if name and is_descriptive_label(name))
            for label, given in zip(labels, names or [None] * len(labels), strict=True)
        ]
        lesson = _TrainingRows(
            texts,
            np.array([place[label] for label in labels], dtype=np.int64),
            np.ones(len(texts)) if weights is None else np.asarray(weights, dtype=np.float64),
            called,
            len(known),
        )
        rows, margins = lesson.blind()
        calibration = Calibration.fit(margins, lesson.targets[rows])
        extractor, found, intercepts = lesson.machine(np.arange(len(texts)))
        classifier = TextClassifier(
            known, extractor, found.T.astype(np.float16), intercepts.astype(np.float32), calibration
        )
        return classifier, OutOfFoldPredictions(
            rows, calibration.probabilities(margins), calibration.confidences(margins)
        )

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return probabilities, one row per text, columns as in `labels`."""
        return self._calibration.probabilities(self._margins(texts))

    def _margins(self, texts: Sequence[str]) -> Floats:
        return np.asarray(self._sight.rows(texts) @ self._weights, dtype=np.float64) + self._intercepts

    def rank(self, texts: Sequence[str], top: int = 3) -> list[RankedLabels]:
        """Return the best labels of each text, in the order of the texts."""
        return [
            found
            for start in range(0, len(texts), _PORTION)
            for found in self._ranked(self._margins(texts[start : start + _PORTION]), top)
        ]

    def _ranked(self, margins: Floats, top: int) -> list[RankedLabels]:
        probabilities = self._calibration.probabilities(margins)
        order = np.argsort(-margins, axis=1, kind="stable")[:, :top]
        return [
            RankedLabels(
                tuple(self._named[best]),
                tuple(round(float(probability), 4) for probability in row[best]),
                round(float(confidence), 4),
            )
            for best, row, confidence in zip(
                order, probabilities, self._calibration.confidences(margins), strict=True
            )
        ]

    def explain(self, text: str, label: str, count: int = 5) -> list[str]:
        """Return the words whose removal lowers the label's margin most, in that order, at most `count`.

        Raises `ValueError` for an unknown label.
        """
        if label not in self.labels:
            raise ValueError(f"the classifier has no label «{label}»")
        at = self.labels.index(label)
        words = tokenize(clean_text(mask_digits_and_mail(text)))
        different = list(dict.fromkeys(word for word in words if word[0].isalpha()))
        without = [" ".join(word for word in words if word != gone) for gone in different]
        margins = self._margins([" ".join(words), *without])[:, at]
        lost = margins[0] - margins[1:]
        return [different[best] for best in np.argsort(-lost, kind="stable")[:count] if lost[best] > 0]

    def state(self) -> dict[str, Any]:
        """Return the classifier as arrays without Python objects; weights in half precision, as in prediction."""
        return {
            **self._sight.features.state(),
            "format": np.array(FORMAT_VERSION),
            "labels": np.array("\x00".join(self.labels).encode("utf-8").hex()),
            "weights": self._kept,
            "intercepts": self._intercepts,
            **self._calibration.state(),
        }

    @staticmethod
    def of(state: Mapping[str, Any]) -> "TextClassifier":
        """Return the classifier that `state` describes. Raises `ValueError` for an unknown format."""
        if int(state["format"]) != FORMAT_VERSION:
            raise ValueError(
                f"the classifier has format {int(state['format'])}, not {FORMAT_VERSION}: train it again"
            )
        return TextClassifier(
            bytes.fromhex(str(state["labels"])).decode("utf-8").split("\x00"),
            _FeatureExtractor(TfidfFeatures.of(state)),
            state["weights"],
            state["intercepts"],
            Calibration.of(state),
        )
