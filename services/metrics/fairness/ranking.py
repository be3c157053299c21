"""Ranks of organisations among their peers, by shares shrunk towards the peers' mean.

Pure functions on plain data. Docs: docs/moderator/fairness.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.metrics.fairness import wording
from services.metrics.fairness.intervals import wilson_interval
from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.fairness.shrinkage import Prior, estimate_prior, shrunk_share
from services.metrics.settings import metrics_settings

# The maximum probability that a ranked member is listed although all differ only by chance (Bonferroni).
LISTED_BY_CHANCE = 0.05
# Scores are rounded to this many digits; equal rounded scores have the same rank.
SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Observed:
    """The counts of an organisation: `trials` appeals, `successes` of them with the good outcome."""

    id: UUID
    name: str
    group: PeerGroup
    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials:
            raise ValueError(
                f"successes must be from 0 to trials: {self.successes} successes in {self.trials} trials"
            )


@dataclass(frozen=True, slots=True)
class RankingRule:
    """When members are ranked: with at least `min_trials` trials each, if the group has at least `min_peers` such
    members.

    `listed`: the lists of best and worst contain at most this many ranks.
    """

    min_trials: int = 10
    min_peers: int = 5
    listed: int = 3

    def __post_init__(self) -> None:
        if self.min_trials < 2 or self.min_peers < 2:
            raise ValueError("min_trials and min_peers must be at least 2")


@dataclass(frozen=True, slots=True)
class RankedShare:
    """The share of an organisation: raw, with its 95 % interval (`low`, `high`), and shrunk towards the peers'
    mean (`score`).

    Rank 1 is the highest score; equal scores have equal ranks. Without a rank, `note` says why. Raw share,
    interval and score are None without trials.
    """

    id: UUID
    name: str
    successes: int
    trials: int
    share: float | None
    low: float | None
    high: float | None
    score: float | None
    rank: int | None
    note: str | None


@dataclass(frozen=True, slots=True)
class ListedShare:
    """An organisation in the list of best or worst, with the reason in Russian."""

    organisation: RankedShare
    reason: str


@dataclass(frozen=True, slots=True)
class PeerRanking:
    """The ranking of a peer group: ranked members in the order of ranks, then the other members by name.

    `ranked` is the number of members with a rank. `prior` is None if no member has an appeal. `best` and `worst`
    contain only members whose interval, widened for the number of ranked members, does not contain the peers'
    mean; both may be empty if the members differ only by chance.
    """

    group: PeerGroup
    prior: Prior | None
    ranked: int
    organisations: tuple[RankedShare, ...]
    best: tuple[ListedShare, ...]
    worst: tuple[ListedShare, ...]


def configured_rule() -> RankingRule:
    """Return the ranking rule from the settings of this installation."""
    found = metrics_settings()
    return RankingRule(min_trials=found.rank_min_appeals, min_peers=found.rank_min_peers)


def rank_among_peers(observed: Iterable[Observed], rule: RankingRule) -> list[PeerRanking]:
    """Return the rankings of the peer groups, in the order of `PeerGroup`."""
    groups: dict[PeerGroup, list[Observed]] = defaultdict(list)
    for organisation in observed:
        groups[organisation.group].append(organisation)
    return [_ranking(group, groups[group], rule) for group in PeerGroup if group in groups]


def _ranking(group: PeerGroup, members: Sequence[Observed], rule: RankingRule) -> PeerRanking:
    prior = estimate_prior([(member.successes, member.trials) for member in members])
    scores = {
        member.id: round(shrunk_share(member.successes, member.trials, prior), SCORE_DIGITS)
        for member in members
        if prior is not None and member.trials
    }
    enough = [member for member in members if member.trials >= rule.min_trials]
    ordered: list[float] = []
    if len(enough) >= rule.min_peers:
        ordered = sorted((scores[member.id] for member in enough), reverse=True)
    found = sorted(
        (_ranked_share(member, scores.get(member.id), ordered, len(enough), rule) for member in members),
        key=lambda share: (share.rank is None, share.rank or 0, share.name, str(share.id)),
    )
    best, worst = _lists(found, ordered, prior, rule)
    return PeerRanking(group, prior, len(ordered), tuple(found), best, worst)


def _ranked_share(
    member: Observed, score: float | None, ordered: Sequence[float], enough: int, rule: RankingRule
) -> RankedShare:
    interval = wilson_interval(member.successes, member.trials)
    rank = note = None
    if member.trials < rule.min_trials:
        seen = wording.appeals(member.trials) if member.trials else "обращений нет"
        note = f"мало данных: {seen}, а для места нужно не меньше {rule.min_trials}"
    elif score is None or not ordered:
        note = (
            f"мало данных: в группе {wording.organisations(enough)} с достаточным числом обращений, "
            f"а для мест нужно не меньше {rule.min_peers}"
        )
    else:
        rank = ordered.index(score) + 1
    return RankedShare(
        id=member.id,
        name=member.name,
        successes=member.successes,
        trials=member.trials,
        share=member.successes / member.trials if member.trials else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        score=score,
        rank=rank,
        note=note,
    )


def _lists(
    found: Sequence[RankedShare], ordered: Sequence[float], prior: Prior | None, rule: RankingRule
) -> tuple[tuple[ListedShare, ...], tuple[ListedShare, ...]]:
    best: list[ListedShare] = []
    worst: list[ListedShare] = []
    for share in found:
        if share.rank is None or share.score is None or prior is None:
            continue
        # The interval is widened, because the members at the ends were selected among all ranked members.
        interval = wilson_interval(share.successes, share.trials, 1 - LISTED_BY_CHANCE / len(ordered))
        assert interval is not None
        low, high = interval
        # The rank counted from the end; equal scores have equal ranks.
        from_end = len(ordered) - share.rank - ordered.count(share.score) + 2
        if share.rank <= rule.listed and low > prior.mean:
            best.append(ListedShare(share, _reason(share, prior, low, high)))
        elif from_end <= rule.listed and high < prior.mean:
            worst.append(ListedShare(share, _reason(share, prior, low, high)))
    return tuple(best), tuple(reversed(worst))


def _reason(share: RankedShare, prior: Prior, low: float, high: float) -> str:
    own = wording.percent(share.successes / share.trials)
    return (
        f"{own} ({share.successes} из {share.trials}), в среднем по группе\u00a0— {wording.percent(prior.mean)}; "
        f"разница больше случайной: с учётом их числа\u00a0— "
        f"от {wording.percent(low)} до {wording.percent(high)}"
    )
