"""Confidence intervals of shares. Docs: docs/moderator/fairness.md."""

from math import sqrt
from statistics import NormalDist

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
