"""How unusual the count of a day is: a Gamma-Poisson test against the weeks before. Pure functions on arrays.

A row is a separate count, such as that of a topic in a municipality; columns are consecutive days. A count is
negative binomial: Poisson with a rate that varies between days by more than the weekday explains (over-dispersion)
and that is estimated from a limited history. Past outbreaks get a lower weight as in Farrington et al. (1996), "A
statistical algorithm for the early detection of outbreaks of infectious disease", JRSS A 159, 547-563. Docs:
docs/moderator/pulse.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.metrics.pulse.beta_function import incomplete_beta

Array = NDArray[np.float64]

DAYS_OF_WEEK = 7
# Weekday factors of a group of rows are shrunk towards those of all rows, and those of all rows towards equal
# ones: the prior weighs as much as counts with this sum.
_WEEKDAY_WEIGHT = 70.0
# The prior rate of a row, from the totals of its topic and location, weighs as much as this many days.
_RATE_WEIGHT = 7.0
# The prior over-dispersion (variance = mean + dispersion · mean²), its weight in squared expected counts, and the
# lower limit of the estimate.
_DISPERSION, _DISPERSION_WEIGHT, _MIN_DISPERSION = 0.1, 20.0, 0.02
# Past counts are capped at this many standard deviations above their expected value.
_MAX_DEVIATIONS, _PASSES = 4.0, 3


@dataclass(frozen=True, slots=True)
class Expected:
    """The distribution of the next day's count, by row: its mean, and the size of the negative binomial
    distribution.

    The variance is `mean + mean² / size`.
    """

    mean: Array
    size: Array

    def at_least(self, counts: Array) -> Array:
        """Return, by row, the probability of a count at least this high."""
        share = self.mean / (self.mean + self.size)
        return np.where(counts > 0, incomplete_beta(np.maximum(counts, 1), self.size, share), 1.0)

    def at_most(self, counts: Array) -> Array:
        """Return, by row, the probability of a count at most this high."""
        return 1.0 - self.at_least(counts + 1)


def expect_next_day(
    history: Array, weekdays: Sequence[int], next_weekday: int, prior: Array | None = None, groups: Any = None
) -> Expected:
    """Return the distribution of the counts on the day after the history.

    `history` has a row for each count and a column for each day; `weekdays` are 0 to 6. `prior` is the expected
    rate per day of each row before its own counts are known (None: the row's own mean). `groups` has the index of
    the group of rows that share weekday factors and over-dispersion (None: each row has its own).
    """
    rows = history.shape[0]
    members = np.arange(rows) if groups is None else np.asarray(groups)
    days = np.asarray(weekdays)
    weight = 0.0 if prior is None else _RATE_WEIGHT
    start = np.zeros(rows) if prior is None else prior * _RATE_WEIGHT
    counts, dispersion = history, np.full(rows, _DISPERSION)
    for _ in range(_PASSES):
        shape, rate, factors = _rates(counts, days, members, start, weight)
        mean = rate[:, None] * factors[:, days]
        deviation = np.sqrt(mean + dispersion[:, None] * mean**2)
        # One is added, because small counts are far from a normal distribution.
        counts = np.minimum(history, np.ceil(mean + _MAX_DEVIATIONS * deviation + 1))
        dispersion = _dispersion(counts, mean, members)[members]
    shape, rate, factors = _rates(counts, days, members, start, weight)
    # The estimated rate itself has the relative variance 1 / shape.
    unsure = 1.0 / np.maximum(shape, 1e-9)
    return Expected(np.maximum(rate * factors[:, next_weekday], 1e-9), 1.0 / (dispersion + unsure))


def _rates(
    counts: Array, days: NDArray[np.int_], members: NDArray[np.int_], start: Array, weight: float
) -> tuple[Array, Array, Array]:
    """Return for each row the shape of its rate's gamma distribution, its rate per average day, and its weekday
    factors.
    """
    factors = _weekday_factors(counts, days, members)[members]
    shape = start + counts.sum(axis=1)
    return shape, shape / (weight + factors[:, days].sum(axis=1)), factors


def _weekday_factors(history: Array, days: NDArray[np.int_], members: NDArray[np.int_]) -> Array:
    """Return the weekday factors of each group, relative to the mean of the week: rows of seven factors."""
    on_weekday = np.eye(DAYS_OF_WEEK)[days]
    seen = on_weekday.sum(axis=0)
    by_group = np.zeros((int(members.max(initial=0)) + 1, DAYS_OF_WEEK))
    np.add.at(by_group, members, history @ on_weekday)
    # The history may contain some weekdays more often than others.
    share = seen / max(seen.sum(), 1)
    total = by_group.sum(axis=0)
    common = (total + _WEEKDAY_WEIGHT * share) / (total.sum() + _WEEKDAY_WEIGHT)
    own = (by_group + _WEEKDAY_WEIGHT * common) / (by_group.sum(axis=1, keepdims=True) + _WEEKDAY_WEIGHT)
    factors: Array = own / np.maximum(share, 1e-9)
    return factors


def _dispersion(counts: Array, mean: Array, members: NDArray[np.int_]) -> Array:
    """Return the over-dispersion of each group by moments, Σ ((count − mean)² − mean) / Σ mean², plus its standard
    error: an underestimate would cause false alarms.
    """
    groups = int(members.max(initial=0)) + 1
    excess, squares = np.zeros(groups), np.zeros(groups)
    np.add.at(excess, members, ((counts - mean) ** 2 - mean).sum(axis=1))
    np.add.at(squares, members, (mean**2).sum(axis=1))
    of_all = (excess.sum() + _DISPERSION_WEIGHT * _DISPERSION) / (squares.sum() + _DISPERSION_WEIGHT)
    of_all = max(of_all, _MIN_DISPERSION)
    found = np.maximum((excess + _DISPERSION_WEIGHT * of_all) / (squares + _DISPERSION_WEIGHT), _MIN_DISPERSION)
    variance = np.zeros(groups)
    np.add.at(variance, members, (2 * (mean + found[members, None] * mean**2) ** 2).sum(axis=1))
    return np.asarray(found + np.sqrt(variance) / (squares + _DISPERSION_WEIGHT))
