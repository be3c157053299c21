"""Calibration of a linear classifier: converts margins to probabilities and to the confidence in the first answer.

Three fits on out-of-fold rows: a temperature for the probabilities that rank labels; a scale and an offset per
label for probabilities that reflect label frequency (class balancing removes it); and a small logistic model of
both that predicts whether the first answer is right.
"""

# ruff: noqa: PLC0415 - services only apply a trained model, and must not load libraries that only training needs

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.model.builtin_model import softmax

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PULL = 1.0
_TINY = 1e-9


@dataclass(frozen=True)
class Calibration:
    """The fitted calibration of one classifier."""

    temperature: float
    scale: float
    offsets: Floats
    confidence_weights: Floats
    confidence_intercept: float

    @staticmethod
    def fit(margins: Floats, targets: Ints) -> "Calibration":
        """Fit on the margins of out-of-fold rows and the indexes of their true labels."""
        from sklearn.linear_model import LogisticRegression

        temperature = fit_temperature(margins, targets)
        scale, offsets = _offsets(margins, targets, temperature)
        right = margins.argmax(axis=1) == targets
        if right.all() or not right.any():
            # If all answers are right or all are wrong, use the share of right ones, kept slightly off 0 and 1.
            share = (right.sum() + 1) / (len(right) + 2)
            return Calibration(temperature, scale, offsets, np.zeros(3), float(np.log(share / (1 - share))))
        signs = _signs(margins, temperature, scale, offsets)
        middle, spread = signs.mean(axis=0), signs.std(axis=0) + _TINY
        fitted = LogisticRegression().fit((signs - middle) / spread, right)
        weights = fitted.coef_[0] / spread
        return Calibration(temperature, scale, offsets, weights, float(fitted.intercept_[0] - weights @ middle))

    def probabilities(self, margins: Floats) -> Floats:
        """Return the probabilities, with columns in the order of the margins."""
        return softmax(margins * self.temperature)

    def confidences(self, margins: Floats) -> Floats:
        """Return for each row the probability that the label with the greatest margin is right."""
        signs = _signs(margins, self.temperature, self.scale, self.offsets)
        return np.asarray(1 / (1 + np.exp(-(signs @ self.confidence_weights + self.confidence_intercept))))

    def state(self) -> dict[str, Any]:
        """Return the calibration as arrays without Python objects."""
        return {
            "calibration": np.array([self.temperature, self.scale, self.confidence_intercept]),
            "calibration_offsets": self.offsets,
            "calibration_sureness": self.confidence_weights,
        }

    @staticmethod
    def of(state: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that `state` describes."""
        temperature, scale, sure_offset = (float(value) for value in state["calibration"])
        return Calibration(
            temperature, scale, state["calibration_offsets"], state["calibration_sureness"], sure_offset
        )


def fit_temperature(margins: npt.NDArray[Any], targets: Ints) -> float:
    """Return the factor for margins that minimises the log loss."""
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        probabilities = softmax(margins * float(np.exp(logarithm)))
        return -float(np.mean(np.log(probabilities[np.arange(len(targets)), targets] + _TINY)))

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 4.0), method="bounded").x))


def _offsets(margins: Floats, targets: Ints, temperature: float) -> tuple[float, Floats]:
    from scipy.optimize import minimize

    rows = np.arange(len(targets))
    true = np.zeros(margins.shape)
    true[rows, targets] = 1.0
    sharp = margins * temperature

    def loss(at: Floats) -> tuple[float, Floats]:
        probabilities = softmax(at[0] * sharp + at[1:])
        missed = probabilities - true
        value = -np.sum(np.log(probabilities[rows, targets] + _TINY)) + _PULL * np.sum(at[1:] ** 2)
        slope = np.concatenate([[np.sum(missed * sharp)], missed.sum(axis=0) + 2 * _PULL * at[1:]])
        return float(value), slope

    start = np.concatenate([[1.0], np.zeros(margins.shape[1])])
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return float(found[0] * temperature), np.asarray(found[1:])


def _signs(margins: Floats, temperature: float, scale: float, offsets: Floats) -> Floats:
    """Return the features of the confidence model for each row: best probability, its lead, and the spread of the
    likely labels.
    """
    ranked = softmax(margins * temperature)
    known = softmax(margins * scale + offsets)
    two = -np.partition(-ranked, 1, axis=1)[:, :2]
    return np.stack(
        [
            _odds(two[:, 0]),
            np.log((two[:, 0] + _TINY) / (two[:, 1] + _TINY)),
            -np.sum(known * np.log(known + _TINY), axis=1),
        ],
        axis=1,
    )


def _odds(probabilities: Floats) -> Floats:
    held = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(held / (1 - held)))
