"""A text classifier that tells how sure it is: a balanced linear SVM whose margins are calibrated out of fold.

Training holds back each part of the rows in turn; the margins of the rows held back give the temperature that turns
margins into probabilities, and the table that turns the best probability into the share of right answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import KFold
from sklearn.svm import LinearSVC

from services.appeals.understanding.features import Features, Matrix

Floats = npt.NDArray[np.float64]

FOLDS = 5
_SEED = 17
_C = 0.3
_STEPS = 20
# A row whose best class got less than this many votes in calibration gets its neighbours' share.
_EDGES = np.linspace(0.0, 1.0, 51)


@dataclass(frozen=True)
class Ranked:
    """The best labels with their probabilities, best first, and how often an answer this sure is right (0–1)."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    confidence: float


def softmax(margins: Floats, temperature: float) -> Floats:
    """Probabilities of each row's classes."""
    scaled = margins * temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _fit(rows: Matrix, targets: npt.NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
    """Weights (classes × columns) and intercepts of one-against-all SVMs. A class without rows gets margin −1."""
    present = np.unique(targets)
    weights = np.zeros((classes, rows.shape[1]))
    intercepts = np.full(classes, -1.0)
    if len(present) == 1:
        intercepts[present[0]] = 1.0
        return weights, intercepts
    machine = LinearSVC(C=_C, class_weight="balanced", random_state=_SEED).fit(rows, targets)
    if len(present) == 2:
        weights[present[1]], intercepts[present[1]] = machine.coef_[0], machine.intercept_[0]
        weights[present[0]], intercepts[present[0]] = -machine.coef_[0], -machine.intercept_[0]
    else:
        weights[present], intercepts[present] = machine.coef_, machine.intercept_
    return weights, intercepts


def _margins(rows: Matrix, weights: Floats, intercepts: Floats) -> Floats:
    return np.asarray(rows @ weights.T) + intercepts


def out_of_fold(texts: Sequence[str], targets: npt.NDArray[np.int64], classes: int, folds: int = FOLDS) -> Floats:
    """Margins of every row by a machine that has not seen it."""
    margins = np.zeros((len(texts), classes))
    for learn, held in KFold(min(folds, len(texts)), shuffle=True, random_state=_SEED).split(targets):
        features = Features().fit([texts[at] for at in learn])
        fitted = _fit(features.rows([texts[at] for at in learn]), targets[learn], classes)
        margins[held] = _margins(features.rows([texts[at] for at in held]), *fitted)
    return margins


def _temperature(margins: Floats, targets: npt.NDArray[np.int64]) -> float:
    def loss(logarithm: float) -> float:
        chances = softmax(margins, float(np.exp(logarithm)))
        return -float(np.mean(np.log(chances[np.arange(len(targets)), targets] + 1e-12)))

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 4.0), method="bounded").x))


def _shares(best: Floats, right: npt.NDArray[np.bool_]) -> Floats:
    """How often the best class is right, by its probability: isotonic, read at `_EDGES`."""
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(best, right.astype(float))
    # Pulled towards the probability itself where few rows stand behind a step.
    near = np.array([np.sum(np.abs(best - edge) <= 0.05) for edge in _EDGES])
    trust = near / (near + _STEPS)
    return np.asarray(np.maximum.accumulate(trust * fitted.predict(_EDGES) + (1 - trust) * _EDGES))


class TextClassifier:
    """Labels, features and weights. `train` makes one, `state`/`of` keep it without pickled objects."""

    def __init__(
        self,
        labels: Sequence[str],
        features: Features,
        weights: Floats,
        intercepts: Floats,
        temperature: float,
        shares: Floats,
    ) -> None:
        self.labels = tuple(labels)
        self._features = features
        self._weights = np.ascontiguousarray(weights.T.astype(np.float32))
        self._intercepts = intercepts.astype(np.float32)
        self._temperature = temperature
        self._shares = shares
        self._named = np.array(self.labels, dtype=object)

    @staticmethod
    def train(texts: Sequence[str], labels: Sequence[str]) -> "TextClassifier":
        """Learn from texts and their labels, one each. Raises `ValueError` for fewer than two texts or labels."""
        known = sorted(set(labels))
        if len(known) < 2 or len(texts) < FOLDS:
            raise ValueError(f"at least {FOLDS} texts and two labels are needed")
        place = {label: at for at, label in enumerate(known)}
        targets = np.array([place[label] for label in labels])
        margins = out_of_fold(texts, targets, len(known))
        temperature = _temperature(margins, targets)
        chances = softmax(margins, temperature)
        shares = _shares(chances.max(axis=1), chances.argmax(axis=1) == targets)
        features = Features().fit(texts)
        weights, intercepts = _fit(features.rows(texts), targets, len(known))
        return TextClassifier(known, features, weights, intercepts, temperature, shares)

    def chances(self, texts: Sequence[str]) -> Floats:
        """Probabilities, one row per text, columns as `labels`."""
        rows = self._features.rows(texts)
        margins = np.asarray(rows @ self._weights, dtype=np.float64) + self._intercepts
        return softmax(margins, self._temperature)

    def rank(self, texts: Sequence[str], top: int = 3) -> list[Ranked]:
        """The best labels of each text, in the order of the texts."""
        if not texts:
            return []
        chances = self.chances(texts)
        order = np.argsort(-chances, axis=1, kind="stable")[:, :top]
        confidences = np.interp(chances.max(axis=1), _EDGES, self._shares)
        return [
            Ranked(
                tuple(self._named[best]),
                tuple(round(float(chance), 4) for chance in row[best]),
                round(float(confidence), 4),
            )
            for best, row, confidence in zip(order, chances, confidences, strict=True)
        ]
