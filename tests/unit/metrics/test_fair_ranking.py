"""Ranks among peers: shrinkage, minimum sizes, ties, best and worst lists, peer groups."""

from uuid import UUID

import pytest

from services.metrics.fairness import wording
from services.metrics.fairness.peer_groups import PeerGroup, peer_group
from services.metrics.fairness.ranking import (
    Observed,
    PeerRanking,
    RankingRule,
    configured_rule,
    rank_among_peers,
)
from services.metrics.fairness.shrinkage import (
    MAX_STRENGTH,
    MIN_STRENGTH,
    Prior,
    estimate_prior,
    shrunk_share,
)
from services.metrics.settings import metrics_settings

RULE = RankingRule()


def schools(*counts: tuple[int, int]) -> list[Observed]:
    """Return schools «1», «2» … with these successes and trials."""
    return [
        Observed(UUID(int=number), str(number), PeerGroup.SCHOOLS, successes, trials)
        for number, (successes, trials) in enumerate(counts, 1)
    ]


def ranking(*counts: tuple[int, int], rule: RankingRule = RULE) -> PeerRanking:
    (found,) = rank_among_peers(schools(*counts), rule)
    return found


def ranks(found: PeerRanking) -> dict[str, int | None]:
    return {share.name: share.rank for share in found.organisations}


def test_prior_of_equal_samples_equals_the_formula() -> None:
    # Shares .5, .7 and .9 of 10 each: mean .7, weighted spread 10 · (.04 + 0 + .04) = .8, variance .21.
    # By chance Σ (w/n)(1 − w/W) = 3 · 2/3 = 2, so the correlation is (.8 / .21 − 2) / (20 − 2).
    correlation = (0.8 / 0.21 - 2) / 18
    found = estimate_prior([(5, 10), (7, 10), (9, 10)])
    assert found is not None
    assert found.mean == pytest.approx(0.7)
    assert found.strength == pytest.approx((1 - correlation) / correlation)


@pytest.mark.parametrize(
    ("counts", "mean"),
    [
        ([(3, 4)], 0.75),  # one peer
        ([(8, 10)] * 6, 0.8),  # no variance between peers
        ([(5, 5)] * 6, 1.0),  # no variance at all
        ([(1, 1), (0, 1), (1, 1), (0, 0)], 2 / 3),  # one trial each does not show differences
    ],
)
def test_peers_without_a_visible_difference_get_the_strongest_prior(
    counts: list[tuple[int, int]], mean: float
) -> None:
    found = estimate_prior(counts)
    assert found is not None
    assert found.mean == pytest.approx(mean)
    assert found.strength == pytest.approx(MAX_STRENGTH)


def test_peers_of_extreme_shares_get_the_weakest_prior() -> None:
    found = estimate_prior([(0, 50), (50, 50)] * 5)
    assert found is not None
    assert found.strength == pytest.approx(MIN_STRENGTH)


def test_peers_without_trials_have_no_prior() -> None:
    assert estimate_prior([(0, 0), (0, 0)]) is None
    (share,) = ranking((0, 0)).organisations
    assert (share.share, share.score, share.rank) == (None, None, None)
    assert share.note == "мало данных: обращений нет, а для места нужно не меньше 10"


def test_share_of_a_small_sample_is_shrunk_further_to_the_mean() -> None:
    prior = Prior(0.8, 10)
    assert shrunk_share(1, 1, prior) == pytest.approx(9 / 11)
    assert shrunk_share(100, 100, prior) == pytest.approx(108 / 110)


def test_large_organisation_with_a_good_share_ranks_above_a_small_perfect_one() -> None:
    found = ranking((10, 10), (195, 200), (16, 20), (70, 100), (14, 20), (120, 150))
    assert ranks(found)["2"] == 1
    assert found.organisations[0].share == pytest.approx(0.975)
    assert ranks(found)["1"] == 2


def test_equal_scores_have_equal_ranks_and_the_next_rank_is_skipped() -> None:
    found = ranking((90, 100), (80, 100), (80, 100), (60, 100), (50, 100))
    assert ranks(found) == {"1": 1, "2": 2, "3": 2, "4": 4, "5": 5}


def test_organisation_with_few_appeals_is_listed_last_without_a_rank() -> None:
    found = ranking((0, 1), (5, 9), (90, 100), (80, 100), (70, 100), (60, 100), (50, 100))
    assert ranks(found) == {"3": 1, "4": 2, "5": 3, "6": 4, "7": 5, "1": None, "2": None}
    assert found.ranked == 5
    notes = {share.name: share.note for share in found.organisations if share.note}
    assert notes == {
        "1": "мало данных: 1 обращение, а для места нужно не меньше 10",
        "2": "мало данных: 9 обращений, а для места нужно не меньше 10",
    }
    assert {listed.organisation.name for listed in (*found.best, *found.worst)} <= {"3", "4", "5", "6", "7"}


def test_group_with_few_members_gets_no_ranks() -> None:
    found = ranking((90, 100), (80, 100), (10, 100), (1, 100))
    assert set(ranks(found).values()) == {None}
    assert (found.best, found.worst, found.ranked) == ((), (), 0)
    assert found.organisations[0].note == (
        "мало данных: в группе 4 организации с достаточным числом обращений, а для мест нужно не меньше 5"
    )


def test_best_and_worst_lists_give_the_reason() -> None:
    found = ranking((98, 100), (80, 100), (80, 100), (80, 100), (80, 100), (40, 100))
    assert [listed.organisation.name for listed in found.best] == ["1"]
    assert [listed.organisation.name for listed in found.worst] == ["6"]
    assert found.best[0].reason == (
        "98\u00a0% (98 из 100), в среднем по группе\u00a0— 76\u00a0%; разница больше случайной: "
        "с учётом их числа\u00a0— от 90,1\u00a0% до 99,6\u00a0%"
    )


def test_worst_list_starts_with_the_last_rank() -> None:
    found = ranking(*[(900 - 100 * number, 1000) for number in range(8)])
    assert [listed.organisation.name for listed in found.best] == ["1", "2", "3"]
    assert [listed.organisation.name for listed in found.worst] == ["8", "7", "6"]


def test_equal_scores_at_the_end_of_a_list_are_all_listed() -> None:
    found = ranking((95, 100), (95, 100), (50, 100), (20, 100), (20, 100), rule=RankingRule(listed=1))
    assert [listed.organisation.name for listed in found.best] == ["1", "2"]
    assert [listed.organisation.name for listed in found.worst] == ["5", "4"]


def test_best_and_worst_lists_are_empty_if_peers_differ_by_chance() -> None:
    found = ranking((8, 10), (9, 10), (7, 10), (8, 10), (9, 11), (7, 10))
    assert found.ranked == 6
    assert (found.best, found.worst) == ((), ())


def test_each_peer_group_is_ranked_separately() -> None:
    ministries = [
        Observed(UUID(int=100 + number), f"м{number}", PeerGroup.REGIONAL_BODIES, 10 * number, 100)
        for number in range(5)
    ]
    found = rank_among_peers([*schools(*[(80 + number, 100) for number in range(5)]), *ministries], RULE)
    assert [group.group for group in found] == [PeerGroup.REGIONAL_BODIES, PeerGroup.SCHOOLS]
    assert [max(share.rank or 0 for share in group.organisations) for group in found] == [5, 5]


def test_ranking_rule_with_a_minimum_of_one_appeal_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        RankingRule(min_trials=1)


def test_settings_give_the_minimums_of_appeals_and_peers_for_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSPABLIK_RANK_MIN_APPEALS", "25")
    monkeypatch.setenv("GOSPABLIK_RANK_MIN_PEERS", "8")
    metrics_settings.cache_clear()
    try:
        assert configured_rule() == RankingRule(min_trials=25, min_peers=8)
    finally:
        metrics_settings.cache_clear()


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        schools((3, 2))


@pytest.mark.parametrize(
    ("kind", "sphere", "name", "group"),
    [
        ("regional", "образование", "Министерство образования", PeerGroup.REGIONAL_BODIES),
        ("court", None, "Районный суд", PeerGroup.COURTS),
        ("municipality", "местное самоуправление", "Администрация Кабанского района", PeerGroup.DISTRICTS),
        ("municipality", None, "Администрация сельского поселения «Заречное»", PeerGroup.SETTLEMENTS),
        ("municipality", None, "Администрация МО СП «Сосновка»", PeerGroup.SETTLEMENTS),
        ("municipality", None, "МО «Кабанский район»", PeerGroup.DISTRICTS),
        ("municipality", None, "Муниципальное образование «Город Заречный»", PeerGroup.DISTRICTS),
        ("municipality", None, "Аппарат администрации Кабанского района", PeerGroup.MUNICIPAL_UNITS),
        ("municipality", None, "Управление администрации города", PeerGroup.MUNICIPAL_UNITS),
        ("municipality", None, "Комитет по строительству администрации города", PeerGroup.MUNICIPAL_UNITS),
        ("institution", "образование", "МБОУ «Средняя школа № 3»", PeerGroup.SCHOOLS),
        ("institution", "образование", "Детский сад № 5 «Теремок»", PeerGroup.KINDERGARTENS),
        ("institution", "дошкольное образование", "МБДОУ № 9", PeerGroup.KINDERGARTENS),
        ("institution", "образование", "Д/с «Солнышко»", PeerGroup.KINDERGARTENS),
        ("institution", "образование", "Музыкальная школа № 1", PeerGroup.EXTRA_EDUCATION),
        ("institution", "культура", "Детская музыкальная школа № 1", PeerGroup.CULTURE),
        ("institution", "образование", "Аграрный колледж", PeerGroup.COLLEGES),
        ("institution", "Здравоохранение", "ГБУЗ «Кабанская ЦРБ»", PeerGroup.HEALTH),
        ("institution", None, "Городская больница № 4", PeerGroup.HEALTH),
        ("institution", "социальная защита", "Психоневрологический интернат", PeerGroup.SOCIAL),
        ("institution", "ЖКХ", "Водоканал", PeerGroup.UTILITIES),
        ("institution", "туризм", "Турцентр", PeerGroup.OTHER_INSTITUTIONS),
        ("other", "образование", "Частная школа", PeerGroup.OTHER),
    ],
)
def test_peer_group_follows_kind_sphere_and_name(
    kind: str, sphere: str | None, name: str, group: PeerGroup
) -> None:
    assert peer_group(kind, sphere, name) is group


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (0.034, "3,4"),
        (0.04, "4"),
        (0.1, "10"),
        (0.846, "85"),
        (0.9, "90"),
        (0.966, "96,6"),
        (1, "100"),
    ],
)
def test_percentages_are_written_as_in_russian(share: float, text: str) -> None:
    assert wording.percent(share) == f"{text}\u00a0%"


def test_every_peer_group_has_a_distinct_label() -> None:
    assert len({group.label for group in PeerGroup}) == len(PeerGroup)
