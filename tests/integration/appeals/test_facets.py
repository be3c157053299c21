"""Facets count the values in the list of appeals with the same filter."""

from collections.abc import Callable
from typing import Any

import pytest

from services.appeals.lists import facets
from tests.integration.appeals.conftest import AppealsScenario

ROAD = "Когда починят дорогу на улице Жердева в Улан-Удэ? Ямы после дождей."
LAMPS = "Почему на улице Бабушкина в Улан-Удэ не горят фонари?"


async def _facets(scenario: AppealsScenario, **query: Any) -> dict[str, Any]:
    answer = await scenario.get("/appeals/facets", **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _group(appeal: dict[str, Any]) -> dict[str, Any] | None:
    topic = appeal["topic"]
    return topic and (topic["group"] or {"id": topic["id"], "name": topic["name"]})


@pytest.fixture
async def written(scenario: AppealsScenario) -> AppealsScenario:
    """Two appeals about a road and one about lamps, all indexed; the newest is marked as needing no answer."""
    for thread, text in (("1", ROAD), ("2", ROAD), ("3", LAMPS)):
        await scenario.citizen_writes(text, thread=f"vk:-101_{thread}", author=f"a{thread}")
    await scenario.index_texts()
    newest, *_ = await scenario.all()
    moved = await scenario.move(newest, "not_required", reason="Ответ не нужен")
    assert moved.status_code == 200, moved.text
    return scenario


async def test_facets_count_the_values_of_the_list(written: AppealsScenario) -> None:
    listed, found = await written.all(), await _facets(written)
    assert (found["counted"], found["complete"]) == (3, True)
    shown_by: dict[str, Callable[[dict[str, Any]], Any]] = {
        "status": lambda appeal: appeal["status"],
        "urgency": lambda appeal: appeal["urgency"],
        "network": lambda appeal: appeal["channel"]["network"],
        "organisation": lambda appeal: appeal["organisation"],
        "topic_group": _group,
        "municipality": lambda appeal: appeal["location"] and appeal["location"]["municipality"],
    }
    for facet, shown in shown_by.items():
        values = [value for appeal in listed if (value := shown(appeal))]
        expected = {str(value): values.count(value) for value in values}
        assert {str(one["value"]): one["count"] for one in found[facet]} == expected, facet
        assert [one["count"] for one in found[facet]] == sorted(expected.values(), reverse=True)
    assert {one["value"] for one in found["status"]} > {"not_required"}


async def test_facets_of_a_search_count_the_appeals_found(written: AppealsScenario) -> None:
    found = await _facets(written, q="дороги")
    assert found["counted"] == len(await written.all(q="дороги")) == 2
    refused = await written.get("/appeals/facets", q="и")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "query/q")


async def test_facets_count_only_appeals_changed_since_the_moment(written: AppealsScenario) -> None:
    everything = await _facets(written, updated_since="2026-01-01T00:00:00Z")
    assert (everything["counted"], everything["complete"]) == (3, True)
    assert (await _facets(written, updated_since="2099-01-01T00:00:00Z"))["counted"] == 0


async def test_facets_beyond_the_limit_count_only_the_newest_appeals(
    written: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "MAX_COUNTED", 1)
    found = await _facets(written)
    assert (found["counted"], found["complete"]) == (1, False)
    assert found["status"] == [{"value": "not_required", "count": 1}]


async def test_empty_list_has_no_facets(written: AppealsScenario) -> None:
    found = await _facets(written, number=10**9)
    assert (found["counted"], found["complete"], found["status"], found["organisation"]) == (0, True, [], [])
