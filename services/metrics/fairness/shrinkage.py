"""Shares of small samples, shrunk towards the mean of their peers (empirical Bayes, beta-binomial).

The true shares of organisations are beta distributed among peers; successes are binomial, given the share. The
beta distribution is described by its mean and its strength (a + b): the number of an organisation's own trials
that weigh as much as the peers' mean. Docs: docs/moderator/fairness.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

# Limits of the strength: with few peers or few trials its estimate is unreliable and may be infinite.
MIN_STRENGTH, MAX_STRENGTH = 2.0, 200.0
_MAX_STEPS, _PRECISION = 100, 1e-12


@dataclass(frozen=True, slots=True)
class Prior:
    """The expected share of an organisation before its trials are known: `mean`, with the weight of `strength`
    trials.
    """

    mean: float
    strength: float


def estimate_prior(counts: Sequence[tuple[int, int]]) -> Prior | None:
    """Return the prior of peers from their (successes, trials); None if no peer has a trial.

    The correlation of two trials of one organisation is estimated by moments, with weights that are recomputed
    until they converge: Kleinman (1973), "Proportions with extraneous variance", JASA 68, 46-54. The strength is
    `(1 - correlation) / correlation`, limited to `MIN_STRENGTH` … `MAX_STRENGTH`. Peers that differ only by chance
    get the upper limit.
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
    """Return the weighted mean of the shares, and their correlation by the method of moments for these weights."""
    weighted = [(share, trials, trials / (1 + correlation * (trials - 1))) for share, trials in seen]
    total = fsum(weight for _, _, weight in weighted)
    mean = fsum(weight * share for share, _, weight in weighted) / total
    spread = fsum(weight * (share - mean) ** 2 for share, _, weight in weighted)
    by_chance = fsum(weight / trials * (1 - weight / total) for _, trials, weight in weighted)
    variance = mean * (1 - mean)
    among_peers = fsum(weight * (1 - weight / total) for _, _, weight in weighted) - by_chance
    # With one organisation, one trial each, or if all shares are 0 or all are 1, the data does not show how peers
    # differ.
    if variance <= 0 or among_peers <= 0:
        return mean, 0.0
    return mean, (spread / variance - by_chance) / among_peers


def shrunk_share(successes: int, trials: int, prior: Prior) -> float:
    """Return the share shrunk towards the peers' mean: the mean of the posterior distribution."""
    return (successes + prior.strength * prior.mean) / (trials + prior.strength)
