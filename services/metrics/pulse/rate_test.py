"""How unusual the count of a day is: a Gamma-Poisson test against the weeks before. Pure functions on arrays.

Rows are what is counted apart (such as a topic in a municipality), columns are consecutive days. A count is
negative binomial: Poisson with a rate that differs from day to day by more than the weekday explains
(over-dispersion), and that is known only as well as the history tells it. The weighting down of past outbreaks
follows Farrington et al. (1996), "A statistical algorithm for the early detection of outbreaks of infectious
disease", JRSS A 159, 547-563. Docs: docs/moderator/pulse.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.metrics.pulse.beta_function import incomplete_beta

Array = NDArray[np.float64]

DAYS_OF_WEEK = 7
# The weekdays of a row are known only after many counts: until then they are those of all rows, which weigh as
# much as so many counts; those of all rows start as equal.
_WEEKDAY_WEIGHT = 70.0
# The rate of a row starts as what the totals of its topic and its location suggest, with the weight of so many
# days.
_RATE_WEIGHT = 7.0
# Over-dispersion (variance = mean + dispersion · mean²) to start from, its weight in squared expected counts, and
# the least that is believed.
_DISPERSION, _DISPERSION_WEIGHT, _MIN_DISPERSION = 0.1, 20.0, 0.02
# A past count is cut off at so many standard deviations above what was expected of it.
_MAX_DEVIATIONS, _PASSES = 4.0, 3


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of the next day, by row: the mean, and the size of the negative binomial distribution.

    The variance is `mean + mean² / size`.
    """

    mean: Array
    size: Array

    def at_least(self, counts: Array) -> Array:
        """Return the probability of this count or a higher one."""
        share = self.mean / (self.mean + self.size)
        return np.where(counts > 0, incomplete_beta(np.maximum(counts, 1), self.size, share), 1.0)

    def at_most(self, counts: Array) -> Array:
        """Return the probability of this count or a lower one."""
        return 1.0 - self.at_least(counts + 1)


def expect_next_day(
    history: Array, weekdays: Sequence[int], next_weekday: int, prior: Array | None = None, groups: Any = None
) -> Expected:
    """Return what is expected of the day after the history.

    `history` has a row for each count and a column for each day; `weekdays` are 0 to 6. `prior` is the rate per
    day that is expected of a row before its own counts are seen (None: the row's own mean). `groups` says by index
    which rows share their weekdays and their over-dispersion (None: each row its own).
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
        # One more than that, because small counts are far from normal.
        counts = np.minimum(history, np.ceil(mean + _MAX_DEVIATIONS * deviation + 1))
        dispersion = _dispersion(counts, mean, members)[members]
    shape, rate, factors = _rates(counts, days, members, start, weight)
    # The rate itself is known with the relative variance 1 / shape.
    unsure = 1.0 / np.maximum(shape, 1e-9)
    return Expected(np.maximum(rate * factors[:, next_weekday], 1e-9), 1.0 / (dispersion + unsure))


def _rates(
    counts: Array, days: NDArray[np.int_], members: NDArray[np.int_], start: Array, weight: float
) -> tuple[Array, Array, Array]:
    """Return for each row the shape of the gamma distribution of its rate, its rate per mean day, and the factors
    of its weekdays.
    """
    factors = _weekday_factors(counts, days, members)[members]
    shape = start + counts.sum(axis=1)
    return shape, shape / (weight + factors[:, days].sum(axis=1)), factors


def _weekday_factors(history: Array, days: NDArray[np.int_], members: NDArray[np.int_]) -> Array:
    """Return for each group how many times the mean of a week its weekdays have: rows of seven factors."""
    on_weekday = np.eye(DAYS_OF_WEEK)[days]
    seen = on_weekday.sum(axis=0)
    by_group = np.zeros((int(members.max(initial=0)) + 1, DAYS_OF_WEEK))
    np.add.at(by_group, members, history @ on_weekday)
    # The history may hold a weekday more often than another one.
    share = seen / max(seen.sum(), 1)
    total = by_group.sum(axis=0)
    common = (total + _WEEKDAY_WEIGHT * share) / (total.sum() + _WEEKDAY_WEIGHT)
    own = (by_group + _WEEKDAY_WEIGHT * common) / (by_group.sum(axis=1, keepdims=True) + _WEEKDAY_WEIGHT)
    factors: Array = own / np.maximum(share, 1e-9)
    return factors


def _dispersion(counts: Array, mean: Array, members: NDArray[np.int_]) -> Array:
    """Return the over-dispersion of each group by moments, Σ ((count − mean)² − mean) / Σ mean², with its standard
    error added: underestimated it would raise false alarms.
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
