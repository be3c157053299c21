"""Suggestions that complete a search query while it is typed."""

from typing import Any

import pytest

from tests.integration.appeals.conftest import AppealsScenario


async def _suggested(scenario: AppealsScenario, q: str) -> list[tuple[str, str]]:
    answer = await scenario.get("/appeals/suggestions", q=q)
    assert answer.status_code == 200, answer.text
    return [(item["kind"], item["name"]) for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("бабу", ("settlement", "Бабушкин")),
        ("БАБУШКИНА", ("street", "Бабушкина")),
        ("кабанский р", ("municipality", "Кабанский район")),
        ("усть-ба", ("settlement", "Усть-Баргузин")),
        ("усть ба", ("settlement", "Усть-Баргузин")),
        ("гусиноозе", ("settlement", "Гусиноозёрск")),
    ],
)
async def test_names_with_the_typed_prefix_come_first(
    scenario: AppealsScenario, typed: str, first: tuple[str, str]
) -> None:
    found = await _suggested(scenario, typed)
    assert found[0] == first
    assert len(found) == len(set(found)) <= 10


async def test_words_inside_names_and_topics_are_found(scenario: AppealsScenario) -> None:
    assert ("settlement", "Усть-Баргузин") in await _suggested(scenario, "баргузин")
    topics: list[dict[str, Any]] = (await scenario.get("/topics")).json()["items"]
    name = topics[0]["name"]
    assert ("topic", name) in await _suggested(scenario, name.split()[0][:5])


async def test_suggestion_has_a_municipality_if_there_is_only_one(scenario: AppealsScenario) -> None:
    items = (await scenario.get("/appeals/suggestions", q="усть-баргузин")).json()["items"]
    assert items[0]["municipality"] == "Баргузинский район"
    streets = (await scenario.get("/appeals/suggestions", q="ленина")).json()["items"]
    assert next(item for item in streets if item["kind"] == "street")["municipality"] is None


@pytest.mark.parametrize("typed", ["ъъъ", "…", "бабушкина кабанск"])
async def test_text_that_no_name_contains_gets_no_suggestions(scenario: AppealsScenario, typed: str) -> None:
    assert await _suggested(scenario, typed) == []


@pytest.mark.parametrize("query", [{}, {"q": ""}, {"q": "x" * 201}, {"q": "a\x00"}, {"q": "а", "sort": "due"}])
async def test_invalid_query_is_refused(scenario: AppealsScenario, query: dict[str, Any]) -> None:
    answer = await scenario.get("/appeals/suggestions", **query)
    assert answer.status_code == 422
