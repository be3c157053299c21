"""Matching of spikes and appeals with the known candidates of a municipality."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.appeals.incidents.cluster_candidates import ClusterCandidate, is_same_problem, matches_candidate
from tests.unit.appeals.test_spike_detection import GROUP, HOUR, NOON, said

OTHER_GROUP, OTHER_TOPIC = UUID(int=7), UUID(int=8)
DARK = ("Нет света в посёлке", "Свет выключили, сидим в темноте", "Без света второй час")
ASKING = ("Когда восстановят электроснабжение?", "Где узнать, восстановят ли электроснабжение?")
BILLS = ("Почему так выросли тарифы?", "Откуда такие тарифы в квитанции?")
HOME = ("Селенгинск", "Каменск")


def candidate(*texts: str, **more: Any) -> ClusterCandidate:
    return ClusterCandidate.from_spike([said(text, at, **more) for at, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("spike", "one"),
    [
        (candidate("Электричества нет"), True),
        (candidate("Нет воды", utility_failure="water"), False),
        (candidate(*DARK, municipality="81701000"), False),
        (candidate(*ASKING, utility_failure=None), True),
        (candidate(*BILLS, utility_failure=None, topic_id=GROUP), True),
        (candidate(*ASKING, utility_failure=None, topic_id=OTHER_TOPIC), True),
        (candidate(*BILLS, utility_failure=None, topic_id=OTHER_TOPIC), False),
        (candidate(*ASKING, utility_failure=None, topic_id=OTHER_TOPIC, group_id=OTHER_GROUP), False),
        (
            candidate(
                "Включите свет, сидим в темноте", utility_failure=None, topic_id=OTHER_TOPIC, group_id=OTHER_GROUP
            ),
            True,
        ),
    ],
)
def test_spike_during_an_outage_merges_unless_it_names_another_failure(spike: ClusterCandidate, one: bool) -> None:
    outage = candidate(*DARK)
    assert is_same_problem(outage, spike) is one
    assert is_same_problem(spike, outage) is one


def test_spikes_without_a_fault_merge_by_topic_but_not_by_group() -> None:
    bridge = candidate("Мост рухнул", "Когда починят мост?", utility_failure=None)
    assert is_same_problem(bridge, candidate("Как ехать в школу?", utility_failure=None))
    assert not is_same_problem(bridge, candidate("Яма у школы", utility_failure=None, topic_id=OTHER_TOPIC))
    assert is_same_problem(
        bridge, candidate("Мост рухнул, объезда нет", utility_failure=None, topic_id=OTHER_TOPIC)
    )
    assert not is_same_problem(
        bridge, candidate("Мост рухнул", utility_failure=None, topic_id=OTHER_TOPIC, group_id=OTHER_GROUP)
    )


def test_candidates_of_two_settlements_are_not_merged() -> None:
    first, second = (candidate(*DARK, settlement=name) for name in HOME)
    assert not is_same_problem(first, second)
    assert is_same_problem(first, candidate(*DARK))
    assert not matches_candidate(said("Нет света", settlement=HOME[1]), first, 1.0)


def test_merged_candidate_keeps_the_utility_failure_of_either() -> None:
    asking = candidate(*ASKING, utility_failure=None)
    asking.merge(candidate(*DARK))
    assert asking.subject.utility_failure == "power"
    assert len(asking.new_members) == len(ASKING) + len(DARK)
    assert matches_candidate(said("Нет света"), asking, 0.0)


def test_messages_long_before_or_after_a_candidate_do_not_overlap_it() -> None:
    outage = replace(candidate(*DARK), first_written_at=NOON, last_written_at=NOON)
    for apart, near in ((-2 * HOUR, False), (-HOUR, True), (6 * HOUR, True), (7 * HOUR, False)):
        at = NOON + apart
        assert outage.overlaps(at, at, window=HOUR, quiet=timedelta(hours=6)) is near


def test_street_is_set_only_when_most_texts_name_it() -> None:
    def street_of(named: int, word: str = "На Советской ") -> str | None:
        appeals = [said(f"{word}нет света", n, settlement=HOME[0], street="Советская") for n in range(named)]
        appeals += [said("На Балдакова нет света", 8, settlement=HOME[0], street="Балдакова")]
        appeals += [said("Нет света", n, settlement=HOME[0]) for n in range(9, 16 - named)]
        assert len(appeals) == 8
        return ClusterCandidate.from_spike(appeals).subject.street

    assert [street_of(named) for named in (1, 4, 5, 7)] == [None, None, "Советская", "Советская"]
    # Texts that do not name the street got it from the post above: it does not count.
    assert street_of(7, "") is None
