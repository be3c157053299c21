"""Shares of small samples, drawn towards the mean of their peers (empirical Bayes, beta-binomial).

Each organisation has a true share, which is Beta distributed among its peers; of its trials, so many succeed. The
beta distribution is given by its mean and its strength (a + b), which says how many trials of one's own weigh as
much as what the peers say. Docs: docs/moderator/fairness.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

# Limits of the strength: with few peers or few trials the estimate may be anything, even infinite.
MIN_STRENGTH, MAX_STRENGTH = 2.0, 200.0
_MAX_STEPS, _PRECISION = 100, 1e-12


@dataclass(frozen=True, slots=True)
class Prior:
    """What is expected of an organisation before any of its trials is seen: `mean` with the weight `strength`."""

    mean: float
    strength: float


def estimate_prior(counts: Sequence[tuple[int, int]]) -> Prior | None:
    """Return the prior of peers from their (successes, trials); None if none of them has a trial.

    The correlation of two trials of one organisation is estimated by moments, with weights that are repeated until
    they fit it: Kleinman (1973), "Proportions with extraneous variance", JASA 68, 46-54. The strength is
    `(1 - correlation) / correlation`, kept within `MIN_STRENGTH` and `MAX_STRENGTH`. Peers that differ by no more
    than chance explains get the upper limit.
    """
    seen = [(successes / trials, trials) for successes, trials in counts if trials]
    if not seen:
        return None
    least, most = 1 / (1 + MAX_STRENGTH), 1 / (1 + MIN_STRENGTH)
    correlation, mean = least, 0.0
    for _ in range(_MAX_STEPS):
        before = correlation
        mean, found = _moments(seen, correlation)
        correlation = min(max(found, least), most)
        if abs(correlation - before) < _PRECISION:
            break
    return Prior(mean, (1 - correlation) / correlation)


def _moments(seen: Sequence[tuple[float, int]], correlation: float) -> tuple[float, float]:
    """Return the weighted mean of the shares, and their correlation by moments for these weights."""
    weighted = [(share, trials, trials / (1 + correlation * (trials - 1))) for share, trials in seen]
    total = fsum(weight for _, _, weight in weighted)
    mean = fsum(weight * share for share, _, weight in weighted) / total
    spread = fsum(weight * (share - mean) ** 2 for share, _, weight in weighted)
    by_chance = fsum(weight / trials * (1 - weight / total) for _, trials, weight in weighted)
    variance = mean * (1 - mean)
    among_peers = fsum(weight * (1 - weight / total) for _, _, weight in weighted) - by_chance
    # One organisation, one trial each, or all shares 0 or 1: nothing says how the peers differ.
    if variance <= 0 or among_peers <= 0:
        return mean, 0.0
    return mean, (spread / variance - by_chance) / among_peers


def shrunk_share(successes: int, trials: int, prior: Prior) -> float:
    """Return the share drawn towards the mean of the peers: the mean of the posterior distribution."""
    return (successes + prior.strength * prior.mean) / (trials + prior.strength)
