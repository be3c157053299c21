"""When many tell of one trouble: clearly more than usual, different people, one place."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.appeals.incidents.spike_detection import (
    Heard,
    Matter,
    Tally,
    bursts,
    is_sudden,
    likely_members,
    may_be_about,
    speakers,
    stands_out,
    usual_share,
)

NOON = datetime(2026, 3, 4, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
POWER: Matter = ("fault", "power")
GROUP, TOPIC = UUID(int=1), UUID(int=2)


def said(text: str, minute: float = 0, **more: Any) -> Heard:
    known: dict[str, Any] = {
        "id": uuid4(), "municipality": "81624000", "settlement": None, "seat": None, "street": None,
        "fault": "power", "topic_id": TOPIC, "group_id": GROUP, "network": "vk", "page_id": None,
        "organisation_id": None, "author_key": str(uuid4()), "thread_key": None, "urgency": "normal",
        "opened_at": NOON, "written_at": NOON + timedelta(minutes=minute),
    }  # fmt: skip
    return Heard(**(known | {"text": text} | more))


def test_one_person_is_one_voice_in_however_many_words_and_networks() -> None:
    same = "У нас на Школьной нет света"
    cases = [said(f"нет света {n}", author_key="anna") for n in range(9)]
    cases += [said(same, network="vk"), said(same, network="ok"), said(same, network="vk")]
    assert speakers(cases) == 3


def test_words_that_anybody_would_use_are_not_one_persons() -> None:
    cases = [said("Нет света!", network=network) for network in ("vk", "ok") for _ in range(4)]
    assert speakers(cases) == 8
    assert is_sudden(cases, 8, HOUR)


@pytest.mark.parametrize(("apart", "sudden"), [(10, True), (20, False)])
def test_so_many_have_to_write_within_the_window(apart: int, sudden: bool) -> None:
    cases = [said(f"нет света {n}", n * apart) for n in range(5)]
    assert is_sudden(cases, 5, HOUR) is sudden
    assert not is_sudden([*cases[:4], said("ещё", 500)], 5, HOUR)


def test_what_is_clearly_more_than_the_usual_share_stands_out() -> None:
    assert stands_out(12, 72, 0.02)
    assert stands_out(5, 5, 0.02)
    assert stands_out(200, 5_200, 0.02)
    assert not stands_out(11, 227, 0.05), "as much as everywhere"
    assert not stands_out(30, 500, 0.05)


def test_usual_is_what_the_place_the_region_and_the_hour_are_used_to() -> None:
    nothing = Tally.of(())
    assert usual_share(POWER, here=nothing, region=nothing, elsewhere=nothing) == pytest.approx(0.02)
    often = Tally(1_000, Counter({POWER: 300}))
    assert usual_share(POWER, here=often, region=nothing, elsewhere=nothing) > 0.25
    flood = Tally(5_000, Counter({POWER: 250}))
    assert usual_share(POWER, here=nothing, region=nothing, elsewhere=flood) == pytest.approx(0.05, abs=0.001)
    # A storm puts out the light everywhere: that must not hide it.
    storm = Tally(500, Counter({POWER: 450}))
    assert usual_share(POWER, here=nothing, region=nothing, elsewhere=storm) == pytest.approx(0.1)


def test_two_settlements_that_tell_each_of_their_own_are_two_bursts() -> None:
    first = [said(f"нет света {n}", n, settlement="Селенгинск", thread_key="a") for n in range(7)]
    second = [said(f"свет погас {n}", n, settlement="Каменск", thread_key="b") for n in range(5)]
    silent = [said("когда дадут", 3, thread_key="b"), said("и у нас", 3, thread_key="c")]
    found = list(bursts(POWER, [*first, *second, *silent], least=5, window=HOUR))
    assert [{case.id for case in part} for part in found] == [
        {case.id for case in [*first, silent[1]]},
        {case.id for case in [*second, silent[0]]},
    ]


def test_a_group_of_topics_bursts_only_where_the_words_are_alike() -> None:
    matter: Matter = ("group", str(GROUP))
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
    cases = [said(text, fault=None) for text in [*bridge, *apart]]
    (found,) = bursts(matter, cases, least=5, window=HOUR)
    assert {case.text for case in found} == set(bridge)


def test_who_does_not_name_the_fault_belongs_by_words_topic_or_post() -> None:
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
    asks = said("Так когда свет-то включат?", fault=None)
    tariff = said("Почём теперь киловатт для многодетных?", fault=None, topic_id=other_topic)
    dark = "и дома темнота"
    beside = said(dark, fault=None, topic_id=GROUP, thread_key="post")
    alone = said(dark, fault=None, topic_id=GROUP)
    other = said(dark, fault=None, topic_id=other_topic, thread_key="post")
    found = {case.id for case, _ in likely_members(members, [asks, tariff, beside, alone, other], TOPIC)}
    assert found == {asks.id, beside.id}
    assert likely_members([], [asks], None) == []


def test_what_is_out_may_be_named_without_saying_so() -> None:
    asks = said("Что со светом?", fault=None, group_id=UUID(int=7))
    assert may_be_about(asks, "power", GROUP)
    assert not may_be_about(asks, "water", GROUP)
    assert not may_be_about(asks, None, None)
    assert may_be_about(said("Когда уже?", fault=None), "power", GROUP)


def test_a_place_is_named_by_the_words_themselves() -> None:
    known = {
        name: getattr(said(""), name) for name in Heard.__slots__ if name not in {"text", "settlement", "seat"}
    }
    named = Heard.of(text="в селенгинске нет света", settlement="Селенгинск", **known)
    silent = Heard.of(text="нет света", settlement="Селенгинск", **known)
    assert (named.settlement, named.seat) == ("Селенгинск", None)
    assert (silent.settlement, silent.seat) == (None, "Селенгинск")
    assert Heard.of(text="на Оке темно", settlement="Ока", **known).settlement is None
    assert Heard.of(text="Ока без света", settlement="Ока", **known).settlement == "Ока"
