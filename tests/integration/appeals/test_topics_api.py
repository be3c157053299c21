"""The topic taxonomy in the API."""

from typing import Any
from uuid import uuid4

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION


async def topics(scenario: AppealsScenario, **query: Any) -> list[dict[str, Any]]:
    """Return the topics on all pages of the list."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await scenario.get("/topics", **query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def test_groups_topics_and_topics_of_a_group_are_listed(scenario: AppealsScenario) -> None:
    groups = await topics(scenario)
    assert len(groups) == 26
    assert {found["level"] for found in groups} == {"group"}
    below = await topics(scenario, level="topic", limit=200)
    assert len(below) > 300
    assert [found["position"] for found in below] == sorted(found["position"] for found in below)
    roads = next(found for found in groups if found["code"] == "roads")
    of_roads = await topics(scenario, group_id=roads["id"])
    assert of_roads == [found for found in below if found["group"] == {"id": roads["id"], "name": "Дороги"}]
    assert (await topics(scenario, group_id=roads["id"], level="all"))[0] == roads
    assert len(await topics(scenario, level="all", limit=200)) == len(groups) + len(below)


async def test_topic_is_found_by_any_of_its_names(scenario: AppealsScenario) -> None:
    details = (await scenario.get(f"/topics/{(await topics(scenario, q='чипы СОБАКАМ'))[0]['id']}")).json()
    assert details["group"]["name"] == "Безопасность и правопорядок"
    assert details["taxonomy_version"] == "2026-1"
    assert "чипы собакам" in details["aliases"]
    assert details["includes"]
    assert details["excludes"]
    assert details["active"] is True
    by_e, by_yo = await topics(scenario, q="молодежная"), await topics(scenario, q="МОЛОДЁЖНАЯ")
    assert by_e == by_yo
    assert by_e[0]["level"] == "group"
    assert await topics(scenario, q="нет такой темы") == []
    assert (await scenario.get(f"/topics/{uuid4()}")).status_code == 404
    assert (await scenario.get("/topics", q="")).status_code == 422


async def test_small_pages_of_a_topic_search_add_up_to_the_whole_result(scenario: AppealsScenario) -> None:
    whole = await topics(scenario, q="до", limit=200)
    assert len(whole) > 5
    assert await topics(scenario, q="до", limit=3) == whole


async def test_appeal_shows_topic_and_group_and_is_found_by_both(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    roads = next(found for found in await topics(scenario) if found["code"] == "roads")
    below = (await topics(scenario, group_id=roads["id"]))[0]
    connection = await scenario.database.connect("appeals")
    try:
        await connection.execute("UPDATE appeals SET topic_id = $1, municipality = '81701000'", below["id"])
        await connection.execute(
            "UPDATE appeals SET settlement = 'Забайкальский', street = NULL, utility_failure = 'power'"
        )
    finally:
        await connection.close()
    appeal = await scenario.single_appeal()
    assert appeal["topic"] == {"id": below["id"], "name": below["name"], "group": below["group"]}
    assert appeal["location"]["municipality"]["oktmo"] == "81701000"
    assert appeal["location"]["municipality"]["name"]
    assert (appeal["location"]["settlement"], appeal["location"]["street"]) == ("Забайкальский", None)
    assert (appeal["utility_failure"], appeal["language"], appeal["incident_id"]) == ("power", "ru", None)
    other = next(found for found in await topics(scenario) if found["code"] == "energy")
    for found, query in (
        (1, {"topic_id": roads["id"]}),
        (1, {"topic_id": below["id"]}),
        (0, {"topic_id": other["id"]}),
        (
            1,
            {
                "municipality": "81701000",
                "settlement": "Забайкальский",
                "language": "ru",
                "utility_failure": "power",
            },
        ),
        (0, {"municipality": "81720000"}),
        (0, {"settlement": "Кабанск"}),
        (0, {"language": "bxr"}),
        (0, {"utility_failure": "water"}),
    ):
        assert len(await scenario.all(**query)) == found, query
        assert (await scenario.get("/appeals/counts", **query)).json()["total"] == found, query
