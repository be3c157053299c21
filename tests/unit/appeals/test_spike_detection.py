"""Spikes: significantly more appeals than the baseline, from different people, at one location."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from scipy.sparse.csgraph import connected_components
from scipy.special import gammainc

from bench import labelled_messages
from services.appeals.incidents.similarity import text_vectors
from services.appeals.incidents.spike_detection import (
    MIN_SIMILARITY,
    Counts,
    RecentAppeal,
    SpikeKey,
    baseline_share,
    count_authors,
    find_related,
    find_spikes,
    group_by_text,
    is_concentrated,
    is_significant,
    may_concern,
    poisson_at_least,
)

NOON = datetime(2026, 3, 4, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
POWER: SpikeKey = ("utility_failure", "power")
GROUP, TOPIC = UUID(int=1), UUID(int=2)


def said(text: str, minute: float = 0, **more: Any) -> RecentAppeal:
    known: dict[str, Any] = {
        "id": uuid4(), "municipality": "81624000", "settlement": None, "page_settlement": None, "street": None,
        "utility_failure": "power", "topic_id": TOPIC, "group_id": GROUP, "network": "vk", "page_id": None,
        "organisation_id": None, "author_key": str(uuid4()), "thread_key": None, "urgency": "normal",
        "opened_at": NOON, "written_at": NOON + timedelta(minutes=minute),
    }  # fmt: skip
    return RecentAppeal(**(known | {"text": text} | more))


def test_one_person_counts_once_across_messages_and_networks() -> None:
    same = "У нас на Школьной нет света"
    appeals = [said(f"нет света {n}", author_key="anna") for n in range(9)]
    appeals += [said(same, network="vk"), said(same, network="ok"), said(same, network="vk")]
    assert count_authors(appeals) == 3


def test_common_phrases_count_as_different_people() -> None:
    appeals = [said("Нет света!", network=network) for network in ("vk", "ok") for _ in range(4)]
    assert count_authors(appeals) == 8
    assert is_concentrated(appeals, 8, HOUR)


@pytest.mark.parametrize(("apart", "sudden"), [(10, True), (20, False)])
def test_minimum_authors_must_write_within_the_window(apart: int, sudden: bool) -> None:
    appeals = [said(f"нет света {n}", n * apart) for n in range(5)]
    assert is_concentrated(appeals, 5, HOUR) is sudden
    assert not is_concentrated([*appeals[:4], said("ещё", 500)], 5, HOUR)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40, 300])
@pytest.mark.parametrize("mean", [0.01, 0.7, 4.0, 60.0, 400.0])
def test_probability_of_a_count_equals_that_of_scipy(count: int, mean: float) -> None:
    expected = 1.0 if count == 0 else float(gammainc(count, mean))
    assert poisson_at_least(count, mean) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_texts_are_grouped_through_similar_texts_between_them() -> None:
    texts = [row["text"] for row in labelled_messages.read(min(labelled_messages.MESSAGE_SETS_DIR.glob("*.csv")))]
    appeals = [
        said(text) for text in [*texts[:150], "нет света в селе", "света в селе нет с утра", "с утра сидим", ""]
    ]
    rows = text_vectors([appeal.text for appeal in appeals])
    count, labels = connected_components(rows @ rows.T >= MIN_SIMILARITY, directed=False)
    groups = list(group_by_text(appeals))
    assert 1 < count < len(appeals)
    assert len(groups) == count
    label_of = {appeal.id: label for appeal, label in zip(appeals, labels, strict=True)}
    assert all(len({label_of[appeal.id] for appeal in group}) == 1 for group in groups)
    assert [len(group) for group in groups] == sorted(map(len, groups), reverse=True)


def test_count_clearly_above_the_baseline_is_significant() -> None:
    assert is_significant(12, 72, 0.02)
    assert is_significant(5, 5, 0.02)
    assert is_significant(200, 5_200, 0.02)
    assert not is_significant(11, 227, 0.05), "as many as everywhere else"
    assert not is_significant(30, 500, 0.05)


def test_baseline_combines_municipality_region_and_present_counts() -> None:
    nothing = Counts.of(())
    assert baseline_share(POWER, here=nothing, region=nothing, elsewhere=nothing) == pytest.approx(0.02)
    often = Counts(1_000, Counter({POWER: 300}))
    assert baseline_share(POWER, here=often, region=nothing, elsewhere=nothing) > 0.25
    flood = Counts(5_000, Counter({POWER: 250}))
    assert baseline_share(POWER, here=nothing, region=nothing, elsewhere=flood) == pytest.approx(0.05, abs=0.001)
    # A storm causes outages everywhere, which must not hide the spikes.
    storm = Counts(500, Counter({POWER: 450}))
    assert baseline_share(POWER, here=nothing, region=nothing, elsewhere=storm) == pytest.approx(0.1)


def test_appeals_of_two_settlements_are_two_spikes() -> None:
    first = [said(f"нет света {n}", n, settlement="Селенгинск", thread_key="a") for n in range(7)]
    second = [said(f"свет погас {n}", n, settlement="Каменск", thread_key="b") for n in range(5)]
    silent = [said("когда дадут", 3, thread_key="b"), said("и у нас", 3, thread_key="c")]
    found = list(find_spikes(POWER, [*first, *second, *silent], min_authors=5, window=HOUR))
    assert [{appeal.id for appeal in part} for part in found] == [
        {appeal.id for appeal in [*first, silent[1]]},
        {appeal.id for appeal in [*second, silent[0]]},
    ]


def test_topic_group_spikes_only_with_similar_texts() -> None:
    matter: SpikeKey = ("group", str(GROUP))
    bridge = [
        "Мост через Уду рухнул, как ехать?", "рухнул мост на Уде, объезда нет", "Что с мостом через Уду? Рухнул",
        "мост рухнул, дети не попадут в школу", "Когда починят рухнувший мост через Уду",
    ]  # fmt: skip
    apart = [
        "Яма у школы",
        "Светофор мигает",
        "Разметку стёрли",
        "Снег не чистят",
        "Лужа на переходе",
        "Нет знака",
    ]
    appeals = [said(text, utility_failure=None) for text in [*bridge, *apart]]
    (found,) = find_spikes(matter, appeals, min_authors=5, window=HOUR)
    assert {appeal.text for appeal in found} == set(bridge)


def test_appeal_that_names_no_fault_belongs_to_a_spike_by_text_topic_or_post() -> None:
    members = [
        said(text, thread_key="post")
        for text in (
            "Нет света в Селенгинске",
            "Когда включат свет?",
            "Свет выключили, сидим в темноте",
            "без света",
        )
    ]
    other_topic = UUID(int=9)
    asks = said("Так когда свет-то включат?", utility_failure=None)
    tariff = said("Почём теперь киловатт для многодетных?", utility_failure=None, topic_id=other_topic)
    dark = "и дома темнота"
    beside = said(dark, utility_failure=None, topic_id=GROUP, thread_key="post")
    alone = said(dark, utility_failure=None, topic_id=GROUP)
    other = said(dark, utility_failure=None, topic_id=other_topic, thread_key="post")
    found = {appeal.id for appeal, _ in find_related(members, [asks, tariff, beside, alone, other], TOPIC)}
    assert found == {asks.id, beside.id}
    assert find_related([], [asks], None) == []


def test_appeal_without_a_fault_may_concern_one_by_its_subject_or_topic_group() -> None:
    asks = said("Что со светом?", utility_failure=None, group_id=UUID(int=7))
    assert may_concern(asks, "power", GROUP)
    assert not may_concern(asks, "water", GROUP)
    assert not may_concern(asks, None, None)
    assert may_concern(said("Когда уже?", utility_failure=None), "power", GROUP)


def test_settlement_of_a_spike_counts_only_if_the_text_names_it() -> None:
    known = {
        name: getattr(said(""), name)
        for name in RecentAppeal.__slots__
        if name not in {"text", "settlement", "page_settlement"}
    }
    named = RecentAppeal.of(text="в селенгинске нет света", settlement="Селенгинск", **known)
    silent = RecentAppeal.of(text="нет света", settlement="Селенгинск", **known)
    assert (named.settlement, named.page_settlement) == ("Селенгинск", None)
    assert (silent.settlement, silent.page_settlement) == (None, "Селенгинск")
    assert RecentAppeal.of(text="на Оке темно", settlement="Ока", **known).settlement is None
    assert RecentAppeal.of(text="Ока без света", settlement="Ока", **known).settlement == "Ока"
