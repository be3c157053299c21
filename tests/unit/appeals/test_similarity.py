"""Similarity of two appeals, and the reasons given for it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.appeals.incidents.similarity import (
    MAX_COMPARED_CHARACTERS,
    MIN_SHOWN_SCORE,
    Similarity,
    compare,
    content_words,
    normalized_words,
    same_words,
)
from shared.russian import in_words

NOON = datetime(2026, 3, 4, 4, tzinfo=UTC)
LIGHT, ROADS, ENERGY = UUID(int=1), UUID(int=2), UUID(int=3)
GROUPS = {LIGHT: ENERGY, UUID(int=4): ENERGY, ROADS: ROADS}


@dataclass(frozen=True)
class Case:
    text: str
    topic_id: UUID | None = LIGHT
    utility_failure: str | None = "power"
    municipality: str | None = "81624000"
    settlement: str | None = "Селенгинск"
    street: str | None = None
    house: str | None = None
    network: str | None = "vk"
    author_key: str | None = "anna"
    written_at: datetime = NOON


ASKED = Case("Третий час нет света на улице Школьной, когда включат?")


def like(other: Case, asked: Case = ASKED) -> Similarity:
    return compare(asked, [other], GROUPS)[0]


def test_same_text_in_another_network_within_hours_is_probably_the_same_person() -> None:
    copy = replace(
        ASKED, text="ТРЕТИЙ час нет света на улице Школьной… когда включат", network="ok", author_key="77"
    )
    soon = like(replace(copy, written_at=NOON + timedelta(hours=2)))
    assert (soon.same_person, soon.score >= 0.9) == ("probable", True)
    assert soon.why[:2] == ("тот же текст", "другая сеть, автор, вероятно, тот же")
    assert soon.why[-1] == "2 часа"
    late = like(replace(copy, written_at=NOON + timedelta(days=3)))
    assert (late.same_person, late.why[0]) == (None, "тот же текст")
    here = like(replace(copy, network="vk"))
    assert here.same_person is None, "two accounts of one network are two people"


def test_only_the_beginning_of_long_texts_is_compared() -> None:
    words = ASKED.text + " свет" * 1_000
    start = words[:MAX_COMPARED_CHARACTERS]
    one, other = replace(ASKED, text=start + " вода" * 1_000), replace(ASKED, text=start + " дорога" * 1_000)
    assert like(other, one).why[0] == "тот же текст"
    assert content_words(one.text) == content_words(start)


def test_common_phrases_do_not_identify_a_person() -> None:
    asked = replace(ASKED, text="Нет света!")
    assert like(replace(asked, network="ok", author_key="77"), asked).same_person is None


def test_repeated_complaint_is_named_as_a_reason() -> None:
    again = like(replace(ASKED, text="Света на Школьной так и нет", written_at=NOON + timedelta(days=5)))
    assert (again.same_person, again.score >= MIN_SHOWN_SCORE) == ("same_author", True)
    assert "тот же автор" in again.why
    assert "5 дней" in again.why


def test_another_problem_at_the_same_location_is_not_similar() -> None:
    roads = replace(ASKED, text="Яма у школы", topic_id=ROADS, utility_failure=None, author_key="boris")
    assert like(roads).score < MIN_SHOWN_SCORE
    assert (
        like(replace(ASKED, text="Нет воды", utility_failure="water", author_key="boris")).score < MIN_SHOWN_SCORE
    )


def test_same_problem_at_another_location_is_less_similar() -> None:
    other = replace(ASKED, text="У нас света нет, сидим в темноте", author_key="boris")
    near, far = like(other), like(replace(other, settlement="Каменск"))
    assert near.score >= MIN_SHOWN_SCORE > far.score
    assert "тот же населённый пункт" in near.why
    assert "та же неисправность: нет света" in near.why


@pytest.mark.parametrize(
    ("street", "house", "words"),
    [("Школьная", "5", "тот же дом"), ("Школьная", "7", "та же улица"), (None, None, "тот же населённый пункт")],
)
def test_reason_names_the_finest_common_location(street: str | None, house: str | None, words: str) -> None:
    asked = replace(ASKED, street="Школьная", house="5")
    assert words in like(replace(asked, street=street, house=house, author_key="boris"), asked).why


def test_same_topic_group_counts_at_most_as_much_as_the_same_topic() -> None:
    asked = replace(ASKED, utility_failure=None)
    group = like(replace(asked, topic_id=UUID(int=4), author_key="boris"), asked)
    topic = like(replace(asked, author_key="boris"), asked)
    assert "та же группа тем" in group.why
    assert "та же тема" in topic.why
    assert group.score <= topic.score


def test_stop_words_are_ignored() -> None:
    assert content_words("Здравствуйте! Когда же у нас включат СВЕТ?") == "включат свет"
    assert content_words("свет в Селенгинске, в селенгинском", {"селенгин"}) == "свет"
    assert same_words(normalized_words("Нет света. Совсем!"), normalized_words("нет света — совсем"))
    assert not same_words(normalized_words(""), normalized_words("…"))


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=40), "меньше минуты"), (timedelta(minutes=1), "1 минута"),
        (timedelta(minutes=12), "12 минут"), (timedelta(hours=23), "23 часа"), (timedelta(days=21), "21 день"),
    ],
)  # fmt: skip
def test_durations_are_described_in_russian(span: timedelta, words: str) -> None:
    assert in_words(span) == words
