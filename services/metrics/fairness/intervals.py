"""Confidence intervals of shares and medians. Docs: docs/moderator/fairness.md."""

from collections.abc import Sequence
from math import floor, sqrt
from statistics import NormalDist

from scipy.special import bdtr, bdtrik

CONFIDENCE_LEVEL = 0.95


def wilson_interval(
    successes: float, trials: float, level: float = CONFIDENCE_LEVEL
) -> tuple[float, float] | None:
    """Return Wilson's score interval of the share `successes / trials`; None without trials.

    Source: E. B. Wilson (1927), JASA 22, 209-212.
    """
    if not trials:
        return None
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / trials + spread / trials / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def median_interval(values: Sequence[float], level: float = CONFIDENCE_LEVEL) -> tuple[float, float] | None:
    """Return the interval of the median between two of the values, which supposes no distribution.

    It is the narrowest pair of values at the same distance from both ends that covers the median with at least
    this probability. None if not even the smallest and the largest do: at 95 % with fewer than six values.

    Source: H. A. David, H. N. Nagaraja, Order Statistics (2003), section 7.1.
    """
    ordered, count, tail = sorted(values), len(values), (1 - level) / 2
    if not count:
        return None
    # So many values at each end may be left out: the median is beyond them with at most the probability `tail`.
    outside = floor(bdtrik(tail, count, 0.5))
    while outside >= 0 and bdtr(outside, count, 0.5) > tail:
        outside -= 1
    return (ordered[outside], ordered[count - 1 - outside]) if outside >= 0 else None
