"""Simulated organisations of known quality: shrunk shares order them better than raw shares."""

import random
from collections.abc import Sequence
from statistics import mean
from uuid import UUID

import numpy as np
import pytest

from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.fairness.ranking import Observed, RankingRule, rank_among_peers

SIZES = ((1, 1), (2, 5), (6, 20), (21, 60), (61, 150), (151, 400))
PER_SIZE = 20
SEEDS = range(6)


def region(seed: int, quality: float, strength: float) -> tuple[list[float], list[Observed]]:
    """Return the true shares of schools and their observed counts; every size occurs equally often."""
    rng = random.Random(seed)
    truth, seen = [], []
    for number in range(PER_SIZE * len(SIZES)):
        trials = rng.randint(*SIZES[number % len(SIZES)])
        share = rng.betavariate(quality * strength, (1 - quality) * strength)
        successes = sum(rng.random() < share for _ in range(trials))
        truth.append(share)
        seen.append(Observed(UUID(int=number), f"{number:03}", PeerGroup.SCHOOLS, successes, trials))
    return truth, seen


def scores_of(seen: Sequence[Observed]) -> list[float]:
    """Return the shrunk shares, in the order of the organisations."""
    (found,) = rank_among_peers(seen, RankingRule())
    by_id = {share.id: share.score for share in found.organisations}
    return [score for organisation in seen if (score := by_id[organisation.id]) is not None]


def rank_errors(values: Sequence[float], truth: Sequence[float]) -> list[float]:
    """Return for each size the share of wrongly ordered pairs with an organisation of that size (Kendall's
    distance); a tie is half an error.
    """
    wrong: list[list[float]] = [[] for _ in SIZES]
    for one, (value, share) in enumerate(zip(values, truth, strict=True)):
        for other, (against, other_share) in enumerate(zip(values, truth, strict=True)):
            if one != other:
                error = 0.5 if value == against else float((value > against) != (share > other_share))
                wrong[one % len(SIZES)].append(error)
    return [mean(errors) for errors in wrong]


@pytest.mark.parametrize(("quality", "strength"), [(0.8, 10), (0.8, 40), (0.6, 10), (0.92, 20)])
def test_shrunk_shares_have_fewer_rank_errors_than_raw_shares_at_every_size(
    quality: float, strength: float
) -> None:
    shrunk: list[list[float]] = []
    raw: list[list[float]] = []
    for seed in SEEDS:
        truth, seen = region(seed, quality, strength)
        shrunk.append(rank_errors(scores_of(seen), truth))
        raw.append(rank_errors([item.successes / item.trials for item in seen], truth))
        assert mean(shrunk[-1]) < mean(raw[-1]), seed
    for number, size in enumerate(SIZES):
        assert mean(errors[number] for errors in shrunk) < mean(errors[number] for errors in raw), size


@pytest.mark.parametrize("seed", SEEDS)
def test_organisation_with_one_message_is_never_first_or_last(seed: int) -> None:
    _, seen = region(seed, 0.9, 20)
    alone = {item.id for item in seen if item.trials == 1}
    raw = [item.successes / item.trials for item in seen]
    assert {raw[number] for number, item in enumerate(seen) if item.id in alone} == {min(raw), max(raw)}
    (found,) = rank_among_peers(seen, RankingRule())
    assert {share.rank for share in found.organisations if share.id in alone} == {None}
    assert not alone & {listed.organisation.id for listed in (*found.best, *found.worst)}
    # Even without a minimum size other organisations have the best and worst scores.
    scores = scores_of(seen)
    ends = {number for number, score in enumerate(scores) if score in {min(scores), max(scores)}}
    assert not alone & {seen[number].id for number in ends}


def test_ranks_are_closer_to_true_quality_than_the_order_of_raw_shares() -> None:
    by_rank, by_share = [], []
    for seed in SEEDS:
        truth, seen = region(seed, 0.8, 20)
        (found,) = rank_among_peers(seen, RankingRule())
        true_share = {item.id: share for item, share in zip(seen, truth, strict=True)}
        ranked = [share for share in found.organisations if share.rank is not None]
        true_order = sorted(ranked, key=lambda share: -true_share[share.id])
        raw_order = sorted(ranked, key=lambda share: -(share.share or 0.0))
        true_rank = {share.id: rank for rank, share in enumerate(true_order, 1)}
        by_rank.append(mean(abs((share.rank or 0) - true_rank[share.id]) for share in ranked))
        by_share.append(mean(abs(rank - true_rank[share.id]) for rank, share in enumerate(raw_order, 1)))
    assert mean(by_rank) < mean(by_share)


@pytest.mark.parametrize("members", [60, 200])
def test_equal_organisations_are_hardly_ever_listed_as_best_or_worst(members: int) -> None:
    seeds, quality = 80, 0.8
    empty = 0
    for seed in range(seeds):
        rng = np.random.default_rng([members, seed])
        trials = rng.integers(20, 200, members)
        seen = [
            Observed(UUID(int=number), f"{number:03}", PeerGroup.SCHOOLS, int(successes), int(of))
            for number, (successes, of) in enumerate(zip(rng.binomial(trials, quality), trials, strict=True))
        ]
        (found,) = rank_among_peers(seen, RankingRule())
        empty += not found.best and not found.worst
    assert empty >= 0.9 * seeds
