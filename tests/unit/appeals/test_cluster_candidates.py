"""Whether a burst tells of a trouble that is known in the place."""

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


def told(*texts: str, **more: Any) -> ClusterCandidate:
    return ClusterCandidate.from_spike([said(text, at, **more) for at, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("burst", "one"),
    [
        (told("Электричества нет"), True),
        (told("Нет воды", fault="water"), False),
        (told(*DARK, municipality="81701000"), False),
        (told(*ASKING, fault=None), True),
        (told(*BILLS, fault=None, topic_id=GROUP), True),
        (told(*ASKING, fault=None, topic_id=OTHER_TOPIC), True),
        (told(*BILLS, fault=None, topic_id=OTHER_TOPIC), False),
        (told(*ASKING, fault=None, topic_id=OTHER_TOPIC, group_id=OTHER_GROUP), False),
        (told("Включите свет, сидим в темноте", fault=None, topic_id=OTHER_TOPIC, group_id=OTHER_GROUP), True),
    ],
)
def test_a_burst_beside_an_outage_is_the_outage_unless_it_tells_of_another_thing(
    burst: ClusterCandidate, one: bool
) -> None:
    outage = told(*DARK)
    assert is_same_problem(outage, burst) is one
    assert is_same_problem(burst, outage) is one


def test_without_anything_out_the_very_topic_makes_one_and_the_group_alone_does_not() -> None:
    bridge = told("Мост рухнул", "Когда починят мост?", fault=None)
    assert is_same_problem(bridge, told("Как ехать в школу?", fault=None))
    assert not is_same_problem(bridge, told("Яма у школы", fault=None, topic_id=OTHER_TOPIC))
    assert is_same_problem(bridge, told("Мост рухнул, объезда нет", fault=None, topic_id=OTHER_TOPIC))
    assert not is_same_problem(bridge, told("Мост рухнул", fault=None, topic_id=OTHER_TOPIC, group_id=OTHER_GROUP))


def test_two_settlements_have_each_their_own() -> None:
    first, second = (told(*DARK, settlement=name) for name in HOME)
    assert not is_same_problem(first, second)
    assert is_same_problem(first, told(*DARK))
    assert not matches_candidate(said("Нет света", settlement=HOME[1]), first, 1.0)


def test_what_comes_to_a_trouble_tells_it_what_is_out() -> None:
    asking = told(*ASKING, fault=None)
    asking.merge(told(*DARK))
    assert asking.subject.fault == "power"
    assert len(asking.new_members) == len(ASKING) + len(DARK)
    assert matches_candidate(said("Нет света"), asking, 0.0)


def test_what_was_written_long_before_or_after_is_another_trouble() -> None:
    trouble = replace(told(*DARK), first_at=NOON, last_at=NOON)
    for apart, near in ((-2 * HOUR, False), (-HOUR, True), (6 * HOUR, True), (7 * HOUR, False)):
        at = NOON + apart
        assert trouble.overlaps(at, at, window=HOUR, quiet=timedelta(hours=6)) is near


def test_a_street_is_told_of_all_only_when_the_words_of_most_name_it() -> None:
    def street_of(named: int, word: str = "На Советской ") -> str | None:
        appeals = [said(f"{word}нет света", n, settlement=HOME[0], street="Советская") for n in range(named)]
        appeals += [said("На Балдакова нет света", 8, settlement=HOME[0], street="Балдакова")]
        appeals += [said("Нет света", n, settlement=HOME[0]) for n in range(9, 16 - named)]
        assert len(appeals) == 8
        return ClusterCandidate.from_spike(appeals).subject.street

    assert [street_of(named) for named in (1, 4, 5, 7)] == [None, None, "Советская", "Советская"]
    # The post above may have told it.
    assert street_of(7, "") is None
