"""Saved views: owners, readers, and the query of the list that a view stores."""

from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register

QUESTION = "Когда в вашей школе начнётся ремонт крыльца?"
VIEW: dict[str, Any] = {
    "name": "Крыльцо, срочные",
    "filter": {"status": ["assigned", "reopened"], "overdue": True, "assignee": "none"},
    "sort": "urgency",
}


async def _save(owner: Colleague, **changes: Any) -> dict[str, Any]:
    answer = await owner.post("/views", VIEW | changes)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/v1/views/{answer.json()['id']}"
    saved: dict[str, Any] = answer.json()
    return saved


async def test_query_of_a_view_lists_its_appeals(scenario: AppealsScenario) -> None:
    await scenario.citizen_writes(QUESTION)
    owner = await register(scenario, "Владелец")
    view = await _save(owner)
    assert (view["owner"]["name"], view["filter"], view["sort"]) == ("Владелец", VIEW["filter"], "urgency")
    assert parse_qs(view["query"])["status"] == ["assigned", "reopened"]
    listed = await owner.get(f"/appeals?{view['query']}")
    assert [one["status"] for one in listed.json()["items"]] == ["assigned"]
    searched = await _save(owner, filter={"q": "ремонт & крыльцо"}, sort="opened_at", name="Поиск")
    assert (await owner.get(f"/appeals?{searched['query']}")).status_code == 200


async def test_shared_view_is_read_in_the_organisation_and_changed_by_its_owner(scenario: AppealsScenario) -> None:
    owner, colleague = await register(scenario, "Владелец"), await register(scenario, "Коллега")
    manager = await register(scenario, "Руководитель", "manager")
    stranger = await register(scenario, "Чужой", organisation=scenario.other_organisation)
    centre = await register(scenario, "Модератор", "moderator")
    private, shared = await _save(owner, name="яблоко"), await _save(owner, name="Ёлка", is_shared=True)
    assert [one["name"] for one in (await owner.get("/views")).json()["items"]] == ["Ёлка", "яблоко"]
    assert [one["id"] for one in (await colleague.get("/views")).json()["items"]] == [shared["id"]]
    path = f"/views/{shared['id']}"
    assert (await colleague.get(path)).json()["query"] == shared["query"]
    for other in (stranger, centre):
        assert (await other.get("/views")).json()["items"] == []
        assert (await other.get(path)).status_code == 404
        assert (await other.request("DELETE", path, If_Match="*")).status_code == 404
    assert (await colleague.get(f"/views/{private['id']}")).status_code == 404
    assert (await colleague.request("PUT", path, VIEW, If_Match="*")).status_code == 403
    assert (await colleague.request("DELETE", path, If_Match="*")).status_code == 403
    assert (await manager.request("PUT", path, VIEW, If_Match="*")).status_code == 403
    assert (await manager.request("DELETE", path, If_Match="*")).status_code == 204
    assert (await owner.get(path)).status_code == 404


async def test_change_of_a_view_without_its_current_version_is_refused(scenario: AppealsScenario) -> None:
    owner = await register(scenario, "Владелец")
    view = await _save(owner)
    path = f"/views/{view['id']}"
    assert (await owner.request("PUT", path, VIEW)).status_code == 428
    assert (await owner.request("PUT", path, VIEW, If_Match='"7"')).status_code == 412
    changed = await owner.request("PUT", path, VIEW | {"name": "Новое имя"}, If_Match='"1"')
    assert (changed.json()["name"], changed.json()["version"], changed.headers["ETag"]) == ("Новое имя", 2, '"2"')
    assert (await owner.request("DELETE", path, If_Match='"1"')).status_code == 412
    assert (await owner.request("DELETE", path, If_Match='"2"')).status_code == 204


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"filter": {"status": ["gone"]}}, "/filter/status/0"),
        ({"filter": {"statuz": ["assigned"]}}, "/filter/statuz"),
        ({"sort": "number"}, "/sort"),
        ({"filter": {"q": "крыльцо"}}, "/sort"),
        ({"name": " "}, "/name"),
    ],
)
async def test_invalid_view_is_refused(scenario: AppealsScenario, changes: dict[str, Any], pointer: str) -> None:
    owner = await register(scenario, "Владелец")
    answer = await owner.post("/views", VIEW | changes)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_number_of_views_is_limited(scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.appeals.lists.saved_views.MAX_VIEWS", 2)
    owner, colleague = await register(scenario, "Владелец"), await register(scenario, "Коллега")
    for number in range(2):
        await _save(owner, name=f"Список {number}", is_shared=True)
    assert (await owner.post("/views", VIEW)).status_code == 409
    await _save(colleague)
    first = (await colleague.get("/views?limit=2")).json()
    rest = (await colleague.get(f"/views?limit=2&cursor={first['next_cursor']}")).json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["Крыльцо, срочные", "Список 0", "Список 1"]
