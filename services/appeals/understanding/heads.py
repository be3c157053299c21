"""The built-in model: one sight of a text, several linear heads that judge it.

`need`: is an answer wanted; `type`; `group` (26) and `topic` (347); `urgent`. Learnt from the project's own
examples and the classifier's own words, so it works before an organisation has any history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from services.appeals.understanding.features import Features, Matrix
from services.appeals.understanding.judgement import Context
from services.appeals.understanding.rule import Reading
from services.appeals.understanding.signs import urges, wants

Floats = npt.NDArray[np.float32]

_SEED = 17
_C = 0.3
_SMALL = np.float16


@dataclass(frozen=True)
class Seen:
    """A text as the heads see it."""

    text: str
    context: Context
    reading: Reading

    @staticmethod
    def of(text: str, context: Context) -> "Seen":
        """Read a text."""
        return Seen(text, context, Reading(text))


@dataclass(frozen=True)
class Head:
    """A linear judge: `labels` by `weights` (columns × labels) and `intercepts`, margins sharpened by `scale`."""

    labels: tuple[str, ...]
    weights: Matrix
    intercepts: Floats
    scale: float

    def margins(self, rows: Matrix) -> Floats:
        """One margin per row and label."""
        return np.asarray((rows @ self.weights).toarray() + self.intercepts, dtype=np.float32)

    def chances(self, rows: Matrix) -> Floats:
        """One probability per row and label."""
        return softmax(self.margins(rows) * self.scale)


def softmax(margins: Floats) -> Floats:
    """Probabilities of margins, row by row."""
    raised = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def sight(features: Features, seen: Sequence[Seen]) -> Matrix:
    """Words and pieces of the texts."""
    return features.rows([item.text for item in seen])


def with_wants(rows: Matrix, seen: Sequence[Seen]) -> Matrix:
    """Rows with the signs of what is wanted beside the words."""
    return _beside(rows, [wants(item.text, item.context, item.reading) for item in seen])


def with_urges(rows: Matrix, seen: Sequence[Seen]) -> Matrix:
    """Rows with the signs of urgency beside the words."""
    return _beside(rows, [urges(item.text, item.context) for item in seen])


def _beside(rows: Matrix, signs: list[list[float]]) -> Matrix:
    return sparse.hstack([rows, sparse.csr_matrix(np.array(signs, dtype=np.float32))], format="csr")


def fit_yes_no(rows: Matrix, yes: npt.NDArray[np.bool_]) -> Head:
    """A calibrated judge of yes and no, both weighing alike however rare one is."""
    machine = LogisticRegression(C=3.0, class_weight="balanced", max_iter=1_000).fit(rows, yes)
    half = machine.coef_[0].astype(np.float32) / 2
    weights = sparse.csr_matrix(np.stack([-half, half], axis=1))
    offset = float(machine.intercept_[0]) / 2
    return Head(("no", "yes"), weights, np.array([-offset, offset], dtype=np.float32), 1.0)


def fit_classes(
    rows: Matrix,
    labels: Sequence[str],
    *,
    keep: int,
    scale: float = 3.0,
    row_weights: Floats | None = None,
) -> Head:
    """A judge among classes, each weighing alike; of each class the `keep` heaviest weights are kept."""
    machine = LinearSVC(C=_C, class_weight="balanced", random_state=_SEED)
    machine.fit(rows, list(labels), sample_weight=row_weights)
    return Head(
        tuple(str(label) for label in machine.classes_),
        _heaviest(machine.coef_, keep),
        machine.intercept_.astype(np.float32),
        scale,
    )


def _heaviest(weights: npt.NDArray[np.float64], keep: int) -> Matrix:
    """The heaviest weights of each class, columns × classes."""
    if keep < weights.shape[1]:
        edges = -np.partition(-np.abs(weights), keep, axis=1)[:, [keep]]
        weights = np.where(np.abs(weights) > edges, weights, 0.0)
    return sparse.csr_matrix(weights.T.astype(np.float32))


@dataclass(frozen=True)
class Heads:
    """The whole model, as it is kept and loaded."""

    features: Features
    need: Head
    type: Head
    group: Head
    topic: Head
    urgent: Head

    NAMES = ("need", "type", "group", "topic", "urgent")

    def state(self) -> dict[str, Any]:
        """Arrays without Python objects; weights in half precision."""
        kept = self.features.state()
        for name in self.NAMES:
            head: Head = getattr(self, name)
            kept[f"{name}_labels"] = np.array("\n".join(head.labels))
            kept[f"{name}_data"] = head.weights.data.astype(_SMALL)
            kept[f"{name}_indices"] = head.weights.indices.astype(np.int32)
            kept[f"{name}_indptr"] = head.weights.indptr.astype(np.int32)
            kept[f"{name}_intercepts"] = head.intercepts
            kept[f"{name}_scale"] = np.array(head.scale)
        return kept

    @staticmethod
    def of(state: Any) -> "Heads":
        """The inverse of `state`."""
        return Heads(
            Features.of(state),
            **{
                name: Head(
                    tuple(str(state[f"{name}_labels"]).split("\n")),
                    sparse.csr_matrix(
                        (
                            state[f"{name}_data"].astype(np.float32),
                            state[f"{name}_indices"],
                            state[f"{name}_indptr"],
                        ),
                        shape=(len(state[f"{name}_indptr"]) - 1, len(state[f"{name}_intercepts"])),
                    ),
                    state[f"{name}_intercepts"],
                    float(state[f"{name}_scale"]),
                )
                for name in Heads.NAMES
            },
        )
