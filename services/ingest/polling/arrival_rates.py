"""Estimate from polls how many messages a page gets per day, and at which hours.

The rate is a Gamma posterior with a prior fitted to all pages. Several estimates with short to long half-lives run
in parallel, weighted by how well each predicted the polls, so that steady pages are estimated precisely and
changing pages are followed quickly. No clock and no I/O: times are seconds since the epoch.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import exp, floor, inf, lgamma, log, sqrt
from typing import Any

DAY = 86_400.0
HOURS = 24
# Half-lives of the estimates, in days.
HALF_LIVES = (0.5, 2.0, 7.0, 28.0)
# Half-lives of the prediction scores, in days: of one page, and of all pages.
PAGE_EVIDENCE_HALF_LIFE = 2.0
SHARED_EVIDENCE_HALF_LIFE = 7.0
# Upper limit of the shared score's influence on one page (natural logarithm).
MAX_SHARED_WEIGHT = 6.0
PROFILE_HALF_LIFE = 7.0
# Pseudo-counts that pull the common profile towards flat, and a page's profile towards the common one.
FLAT_MESSAGES = 48.0
COMMON_MESSAGES = 60.0
OWN_PROFILE_MIN_MESSAGES = 30.0
# Candidates for the prior's shape. All are small, so that an estimate follows a change even among similar pages.
GAMMA_SHAPES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2)


class TimeWarp:
    """Operational time: it runs faster in busy hours; a whole day still has the length of a day."""

    def __init__(self, weights: Sequence[float]) -> None:
        scale = len(weights) / sum(weights)
        self._weights = [weight * scale for weight in weights]
        self._ends = [0.0, *accumulate(weight / len(weights) for weight in self._weights)]

    def warp(self, moment: float) -> float:
        """Return the operational time at a moment, in days."""
        day, second = divmod(moment, DAY)
        hours = second / DAY * HOURS
        hour = min(int(hours), HOURS - 1)
        return day + self._ends[hour] + (hours - hour) * self._weights[hour] / HOURS

    def unwarp(self, days: float) -> float:
        """Return the moment of an operational time; the inverse of `warp`."""
        day, part = divmod(days, 1.0)
        hour = min(bisect_right(self._ends, part) - 1, HOURS - 1)
        return (day + (hour + (part - self._ends[hour]) * HOURS / self._weights[hour]) / HOURS) * DAY


@dataclass(frozen=True)
class DailyProfile:
    """How messages spread over the day: `share[h]` is the rate of hour `h` relative to the mean rate."""

    share: tuple[float, ...]
    arrivals: TimeWarp = field(init=False)
    polls: TimeWarp = field(init=False)
    # The mean square root of `share`: the number of polls is proportional to the square root of the rate.
    root: float = field(init=False)

    def __post_init__(self) -> None:
        roots = [sqrt(share) for share in self.share]
        object.__setattr__(self, "arrivals", TimeWarp(self.share))
        object.__setattr__(self, "polls", TimeWarp(roots))
        object.__setattr__(self, "root", sum(roots) / HOURS)


FLAT = DailyProfile((1.0,) * HOURS)


def _profile(came: Sequence[float], expected: Sequence[float], weight: float) -> DailyProfile:
    """Return the ratio of messages by hour to those expected at an even rate, with `weight` pseudo-counts."""
    pull = weight / HOURS
    return _even([(n + pull) / (even + pull) for n, even in zip(came, expected, strict=True)])


def _own_profile(came: Sequence[float], common: DailyProfile) -> DailyProfile:
    return _even([n + COMMON_MESSAGES * share / HOURS for n, share in zip(came, common.share, strict=True)])


def _even(shares: Sequence[float]) -> DailyProfile:
    scale = HOURS / sum(shares)
    return DailyProfile(tuple(share * scale for share in shares))


@dataclass
class PageStatistics:
    """Statistics of one page: messages and days observed per half-life, messages by hour, prediction scores."""

    seen: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIVES))
    days: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIVES))
    evidence: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIVES))
    shared_evidence: list[float] = field(default_factory=lambda: [0.0] * len(HALF_LIVES))
    hours: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    at: float | None = None
    profile: DailyProfile | None = None

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON for `load`."""
        state: dict[str, Any] = {
            "seen": _short(self.seen),
            "days": _short(self.days),
            "evidence": _short(self.evidence),
            "shared": _short(self.shared_evidence),
            "at": self.at,
        }
        if any(self.hours):
            state["hours"] = _short(self.hours)
        return state

    @classmethod
    def load(cls, state: dict[str, Any]) -> "PageStatistics":
        """Return the statistics from `dump`; values that do not match the current half-lives are dropped."""
        memory = cls()
        lists = {"seen": "seen", "days": "days", "evidence": "evidence", "shared": "shared_evidence"}
        found = {ours: _numbers(state.get(theirs), len(HALF_LIVES)) for theirs, ours in lists.items()}
        at = state.get("at")
        if isinstance(at, int | float) and all(value is not None for value in found.values()):
            for name, value in found.items():
                setattr(memory, name, value)
            memory.hours = _numbers(state.get("hours"), HOURS) or memory.hours
            memory.at = float(at)
        return memory


def _short(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _numbers(value: Any, length: int) -> list[float] | None:
    fits = isinstance(value, list) and len(value) == length and all(isinstance(one, int | float) for one in value)
    return [float(one) for one in value] if fits else None


class RateModel:
    """Estimates the rates of all pages, in messages per day."""

    def __init__(self, mean: float = 1.0) -> None:
        self.common = FLAT
        self._mean = mean
        self._shape = 0.5
        self._weights = [0.0] * len(HALF_LIVES)
        # Over all pages, by hour of the day: messages received, and messages expected at an even rate during the
        # observed time. Both are needed, because few polls have covered the most recent hours.
        self._came = [0.0] * HOURS
        self._even = [0.0] * HOURS
        self._at = -inf

    def load_page(self, page: Hashable, state: dict[str, Any]) -> PageStatistics:
        """Return the statistics of a page from `PageStatistics.dump`, or empty ones."""
        memory = PageStatistics.load(state)
        even = sum(memory.hours) / HOURS
        self._came = [n + own for n, own in zip(self._came, memory.hours, strict=True)]
        self._even = [n + even for n in self._even]
        return memory

    def rate(self, memory: PageStatistics) -> float:
        """Return the expected messages per day of a page."""
        shape, pull = self._shape, self._shape / self._mean
        logs = [shared + own for shared, own in zip(self._weights, memory.evidence, strict=True)]
        most = max(logs)
        weights = [exp(one - most) for one in logs]
        means = (
            weight * (shape + seen) / (pull + days)
            for weight, seen, days in zip(weights, memory.seen, memory.days, strict=True)
        )
        return sum(means) / sum(weights)

    def profile(self, memory: PageStatistics) -> DailyProfile:
        """Return the daily profile of a page; the common profile until it has enough messages."""
        return memory.profile or self.common

    def learn(self, memory: PageStatistics, since: float, now: float, found: Sequence[float]) -> None:
        """Update a page's statistics with messages at the times `found`, observed from `since` to `now`."""
        arrivals = self.profile(memory).arrivals
        days = max(arrivals.warp(now) - arrivals.warp(since), 1e-9)
        count = len(found)
        passed = 0.0 if memory.at is None else max(now - memory.at, 0.0) / DAY
        shape, pull = self._shape, self._shape / self._mean
        own, shared = 0.5 ** (passed / PAGE_EVIDENCE_HALF_LIFE), 0.5 ** (passed / SHARED_EVIDENCE_HALF_LIFE)
        for n, half_life in enumerate(HALF_LIVES):
            kept = 0.5 ** (passed / half_life)
            alpha, beta = shape + kept * memory.seen[n], pull + kept * memory.days[n]
            log_likelihood = alpha * log(beta / (beta + days))
            if count:
                log_likelihood += lgamma(alpha + count) - lgamma(alpha) + count * log(days / (beta + days))
            memory.evidence[n] = own * memory.evidence[n] + log_likelihood
            memory.shared_evidence[n] = shared * memory.shared_evidence[n] + log_likelihood
            memory.seen[n] = kept * memory.seen[n] + count
            memory.days[n] = kept * memory.days[n] + days
        most = max(memory.evidence)
        memory.evidence = [one - most for one in memory.evidence]
        kept = 0.5 ** (passed / PROFILE_HALF_LIFE)
        if count or kept < 1:
            memory.hours = [n * kept for n in memory.hours]
        self._decay(now)
        for moment in found:
            hour = int(moment % DAY / DAY * HOURS) % HOURS
            memory.hours[hour] += 1
            self._came[hour] += 1
        an_hour = self.rate(memory) / HOURS
        reached, end = since / DAY * HOURS, now / DAY * HOURS
        while reached < end:
            upto = min(floor(reached) + 1.0, end)
            self._even[int(reached) % HOURS] += an_hour * (upto - reached)
            reached = upto
        memory.at = now

    def _decay(self, now: float) -> None:
        if now - self._at < DAY / HOURS:
            return
        kept = 0.5 ** ((now - self._at) / DAY / PROFILE_HALF_LIFE) if self._at > -inf else 1.0
        self._came = [n * kept for n in self._came]
        self._even = [n * kept for n in self._even]
        self._at = now

    def refit(self, memories: Sequence[PageStatistics]) -> None:
        """Refit the prior, the common daily profile and the weights of the half-lives to all pages."""
        if not memories:
            return
        self._fit_prior(memories)
        self._weigh(memories)
        self.common = _profile(self._came, self._even, FLAT_MESSAGES)
        for memory in memories:
            enough = sum(memory.hours) >= OWN_PROFILE_MIN_MESSAGES
            memory.profile = _own_profile(memory.hours, self.common) if enough else None

    def _fit_prior(self, memories: Sequence[PageStatistics]) -> None:
        longest = len(HALF_LIVES) - 1
        watched = [(one.seen[longest], one.days[longest]) for one in memories if one.days[longest] > 0]
        days = sum(days for _, days in watched)
        if days < 1:
            return
        self._mean = max((sum(seen for seen, _ in watched) + 0.1) / (days + 0.1), 1e-4)

        def fit(shape: float) -> float:
            pull, gamma = shape / self._mean, lgamma(shape)
            return sum(
                lgamma(shape + seen) - gamma + shape * log(pull / (pull + days)) - seen * log(pull + days)
                for seen, days in watched
            )

        self._shape = max(GAMMA_SHAPES, key=fit)

    def _weigh(self, memories: Sequence[PageStatistics]) -> None:
        totals = [sum(column) for column in zip(*(one.shared_evidence for one in memories), strict=True)]
        most = max(totals)
        self._weights = [max(total - most, -MAX_SHARED_WEIGHT) for total in totals]
