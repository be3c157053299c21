"""Locations of messages, by examples: `examples.csv` was written by hand in the style of citizens and contains
difficult cases.
"""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.appeals.classification.locations.gazetteer import gazetteer
from services.appeals.classification.locations.location_finder import DetectedLocation, find_location

_FIELDS = ("municipality", "settlement", "street", "house", "other_region")


def _cases() -> list[dict[str, str]]:
    with (Path(__file__).parent / "examples.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


CASES = _cases()


def _found(case: dict[str, str]) -> DetectedLocation:
    return find_location(
        case["text"],
        page_owner=case["page_owner"] or None,
        page_municipality=case["page_municipality"] or None,
        post=case["post"] or None,
    )


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']}: {case['text'][:60]}" for case in CASES])
def test_location_of_an_example_message_is_found(case: dict[str, str]) -> None:
    place = _found(case)
    assert {name: getattr(place, name) or "" for name in _FIELDS} == {name: case[name] for name in _FIELDS}
    assert (place.source is None) == (place.municipality is None)
    assert bool(place.matched_words) == bool(place.municipality or place.other_region)


def test_examples_cover_all_kinds_of_cases() -> None:
    kinds = Counter(case["kind"] for case in CASES)
    assert len(CASES) >= 250
    assert kinds["trap"] >= 60
    assert kinds["page"] >= 40
    named = {case["municipality"] for case in CASES} - {""}
    assert named == set(gazetteer().municipalities.values())


@pytest.mark.parametrize(
    ("owner", "source"),
    [("Администрация Кабанского района", "page"), ("Министерство финансов Республики Бурятия", None)],
)
def test_location_source_is_the_text_or_the_page(owner: str, source: str | None) -> None:
    assert find_location("нет воды", page_owner=owner, page_municipality=None).source == source
    assert find_location("в кяхте нет воды", page_owner=owner, page_municipality=None).source == "text"


def test_matched_words_are_quoted() -> None:
    place = find_location(
        "Добрый день! В Кяхте, ул. Крупской, 10 нет воды", page_owner=None, page_municipality=None
    )
    assert place.matched_words == "«в кяхте»; «ул. крупской, 10»"
    page = find_location("нет воды", page_owner="Администрация Кабанского района", page_municipality=None)
    assert page.matched_words == "страница: Администрация Кабанского района"


def test_location_in_the_name_of_a_mentioned_page_is_ignored() -> None:
    assert (
        find_location("[club7|Кабанский район], спасибо", page_owner=None, page_municipality=None)
        == DetectedLocation()
    )


def test_unlisted_street_of_a_named_town_is_found() -> None:
    place = find_location("Кижинга, ул. Небывалая, 7а", page_owner=None, page_municipality=None)
    assert (place.municipality, place.street, place.house) == ("Кижингинский район", "Небывалая", "7а")


_WORDS = st.sampled_from(
    [
        *(
            "в",
            "на",
            "из",
            "до",
            "по",
            "ул.",
            "ул",
            "д.",
            "дом",
            "с.",
            "п",
            "мкр",
            "кв",
            "20",
            "20а",
            "/",
            ",",
            ".",
        ),
        *("кабанск", "кабанском", "улан-удэ", "бабушкина", "112", "как", "а у нас", "район", "сухая", "\n", "үгы"),
    ]
)


@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=14).map(" ".join), st.lists(_WORDS).map("".join)))
def test_any_text_is_searched_without_error(text: str) -> None:
    place = find_location(text, page_owner=text, page_municipality=None, post=text)
    assert place.municipality is None or place.municipality in gazetteer().municipalities.values()


def test_text_that_ends_with_any_name_raises_no_error() -> None:
    """A text that ends in «…на улице Новая» once caused an index error: «Новая» begins other names."""
    entries = {entry.name for options in gazetteer().names.values() for entry, _ in options}
    assert len(entries) > 1_000
    for name in entries:
        for text in (f"нет света на улице {name}", f"{name}", f"у нас на {name} 5"):
            find_location(text, page_owner="Администрация Кабанского района", page_municipality="Кабанский район")
