"""Tags of appeals: added and removed by several people, shown, used as a filter and suggested."""

import asyncio
from typing import Any

import pytest

from services.appeals.lists import appeal_list
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import register

QUESTION = "Когда в вашей школе начнётся ремонт крыльца?"


async def _open(scenario: AppealsScenario) -> dict[str, Any]:
    await scenario.citizen_writes(QUESTION)
    return await scenario.single_appeal()


async def test_tags_are_normalised_shown_and_recorded(scenario: AppealsScenario) -> None:
    appeal, someone = await _open(scenario), await register(scenario, "Исполнитель")
    path = f"/appeals/{appeal['id']}/tags"
    added = await someone.request("PATCH", path, {"add": ["#Крыльцо", "Отчёт  за  МАЙ", "крыльцо"]})
    assert added.json() == {"tags": ["крыльцо", "отчет за май"]}, added.text
    removed = await someone.request("PATCH", path, {"add": ["крыльцо"], "remove": ["ОТЧЕТ за май", "нет такой"]})
    assert removed.json() == {"tags": ["крыльцо"]}
    shown = await scenario.appeal(appeal["id"])
    (listed,) = await scenario.all()
    assert shown["tags"] == listed["tags"] == ["крыльцо"]
    # A tag changes neither `updated_at` nor the version: a new version would make concurrent edits fail.
    assert (shown["version"], shown["updated_at"]) == (appeal["version"], appeal["updated_at"])
    steps = [entry["data"] for entry in shown["timeline"] if entry["kind"] == "tags_changed"]
    assert steps == [
        {"added": ["крыльцо", "отчет за май"], "removed": []},
        {"added": [], "removed": ["отчет за май"]},
    ]
    events = await scenario.events("appeal.tags_changed")
    assert len(events) == 2
    assert "крыльцо" not in events[0]["data"]


async def test_request_that_changes_no_tag_emits_no_event(scenario: AppealsScenario) -> None:
    appeal, someone = await _open(scenario), await register(scenario, "Исполнитель")
    path = f"/appeals/{appeal['id']}/tags"
    await someone.request("PATCH", path, {"add": ["крыльцо"]})
    again = await someone.request("PATCH", path, {"add": ["Крыльцо"], "remove": ["другая"]})
    assert again.json() == {"tags": ["крыльцо"]}
    assert len(await scenario.events("appeal.tags_changed")) == 1


async def test_concurrent_changes_of_tags_lose_no_tag(scenario: AppealsScenario) -> None:
    appeal = await _open(scenario)
    people = [await register(scenario, f"Исполнитель {number}") for number in range(4)]
    path = f"/appeals/{appeal['id']}/tags"
    answers = await asyncio.gather(
        *(one.request("PATCH", path, {"add": [f"метка {number}"]}) for number, one in enumerate(people))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert (await scenario.appeal(appeal["id"]))["tags"] == [f"метка {number}" for number in range(4)]


async def test_invalid_tags_are_refused(scenario: AppealsScenario) -> None:
    appeal, someone = await _open(scenario), await register(scenario, "Исполнитель")
    path = f"/appeals/{appeal['id']}/tags"
    for body, pointer in (
        ({"add": ["а" * 41]}, "/add/0"),
        ({"add": [" # "]}, "/add/0"),
        ({"add": ["а/б"]}, "/add/0"),
        ({"add": ["крыльцо"], "remove": ["Крыльцо"]}, "/remove"),
        ({"tags": ["крыльцо"]}, "/tags"),
    ):
        answer = await someone.request("PATCH", path, body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
    full = await someone.request("PATCH", path, {"add": [f"метка {number}" for number in range(20)]})
    assert len(full.json()["tags"]) == 20
    more = await someone.request("PATCH", path, {"add": ["еще одна"]})
    assert (more.status_code, more.json()["errors"][0]["pointer"]) == (422, "/add")
    swapped = await someone.request("PATCH", path, {"add": ["еще одна"], "remove": ["метка 0"]})
    assert swapped.status_code == 200


async def test_appeals_are_filtered_by_tag(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION, author="a")
    await scenario.citizen_writes(QUESTION, author="b")
    someone = await register(scenario, "Исполнитель")
    first, second = await scenario.all(sort="opened_at")
    for appeal, tags in ((first, ["крыльцо", "май"]), (second, ["май"])):
        await someone.request("PATCH", f"/appeals/{appeal['id']}/tags", {"add": tags})
    assert [one["id"] for one in await scenario.all(tag="Крыльцо")] == [first["id"]]
    assert len(await scenario.all(tag="май")) == 2
    assert (await scenario.get("/appeals/counts", tag="крыльцо")).json()["total"] == 1
    assert (await scenario.get("/appeals", tag="а/б")).status_code == 422


async def test_tags_in_the_callers_scope_are_suggested(scenario: AppealsScenario) -> None:
    appeal, someone = await _open(scenario), await register(scenario, "Исполнитель")
    stranger = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    await someone.request("PATCH", f"/appeals/{appeal['id']}/tags", {"add": ["крыльцо", "крыша", "май"]})
    offered = (await someone.get("/tags?prefix=КР")).json()["items"]
    assert offered == [{"tag": "крыльцо"}, {"tag": "крыша"}]
    first = (await someone.get("/tags?limit=2")).json()
    rest = (await someone.get(f"/tags?limit=2&cursor={first['next_cursor']}")).json()
    assert [one["tag"] for one in first["items"] + rest["items"]] == ["крыльцо", "крыша", "май"]
    assert (await stranger.get("/tags")).json()["items"] == []
    assert len((await scenario.get("/tags")).json()["items"]) == 3
    await someone.request("PATCH", f"/appeals/{appeal['id']}/tags", {"remove": ["крыша"]})
    assert len((await scenario.get("/tags", prefix="кр")).json()["items"]) == 1


async def test_tags_of_another_organisation_cannot_be_changed(scenario: AppealsScenario) -> None:
    appeal = await _open(scenario)
    stranger = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    answer = await stranger.request("PATCH", f"/appeals/{appeal['id']}/tags", {"add": ["крыльцо"]})
    assert answer.status_code == 404
    assert (await scenario.appeal(appeal["id"]))["tags"] == []


async def test_list_by_a_frequent_tag_equals_the_list_by_a_rare_one(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = await register(scenario, "Исполнитель")
    for number in range(7):
        await scenario.citizen_writes(QUESTION, author=f"citizen {number}", thread=f"vk:-101_{number}")
    for appeal in (await scenario.all())[1::2]:
        await someone.request("PATCH", f"/appeals/{appeal['id']}/tags", {"add": ["крыльцо"]})

    async def listed(sort: str) -> list[str]:
        first = (await scenario.get("/appeals", tag="крыльцо", sort=sort, limit=2)).json()
        second = (
            await scenario.get("/appeals", tag="крыльцо", sort=sort, limit=2, cursor=first["next_cursor"])
        ).json()
        return [item["id"] for item in (*first["items"], *second["items"])]

    rare = {sort: await listed(sort) for sort in ("-opened_at", "opened_at", "due", "urgency")}
    assert [len(ids) for ids in rare.values()] == [3] * 4
    monkeypatch.setattr(appeal_list, "MAX_SORTED", 2)
    assert {sort: await listed(sort) for sort in rare} == rare
