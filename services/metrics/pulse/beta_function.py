"""The regularised incomplete beta function by its continued fraction (Lentz's method, as in DLMF 8.17.22)."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_TINY = 1e-300
_PRECISION = 1e-14
_MAX_TERMS = 10_000
_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def incomplete_beta(a: Array, b: Array, x: Array) -> Array:
    """Return I_x(a, b) for a, b > 0 and 0 ≤ x ≤ 1, element by element."""
    a, b, x = np.broadcast_arrays(*(np.asarray(one, dtype=np.float64) for one in (a, b, x)))
    # The fraction converges fast on this side of the mean; the other side is the complement.
    flip = x > (a + 1) / (a + b + 2)
    a, b, x = np.where(flip, b, a), np.where(flip, a, b), np.where(flip, 1 - x, x)
    with np.errstate(divide="ignore"):
        logarithm = a * np.log(x) + b * np.log1p(-x) + _log_gamma(a + b) - _log_gamma(a) - _log_gamma(b)
    found = np.exp(logarithm) * _fraction(a, b, x) / a
    return np.asarray(np.where(flip, 1 - found, found))


def _fraction(a: Array, b: Array, x: Array) -> Array:
    c = np.ones_like(x)
    d = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        before = value
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value = value * d * c
        if np.all(np.abs(value - before) <= _PRECISION * np.abs(value)):
            return value
    raise ArithmeticError("the incomplete beta function did not converge")


def _not_zero(values: Array) -> Array:
    return np.where(np.abs(values) < _TINY, _TINY, values)
