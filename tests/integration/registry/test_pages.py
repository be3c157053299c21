"""Official pages: one organisation each, an address, a go-live time."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared import clock
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/pages"


async def school(registry: ServiceUnderTest, name: str = "Школа № 71") -> str:
    made = await make(registry, "/organisations", name=name, kind="institution")
    return str(made["id"])


async def test_registered_page_gets_a_url_and_goes_live_now_by_default(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    owner = await school(registry)
    common = {"organisation_id": owner, "name": "Школа № 71"}
    vk = await make(registry, "/pages", **common, network="vk", external_id="101", screen_name="school71")
    ok = await make(registry, "/pages", **common, network="ok", external_id="53038939046008")
    assert vk["organisation"] == {"id": owner, "name": "Школа № 71"}
    assert (vk["url"], ok["url"]) == ("https://vk.com/club101", "https://ok.ru/group/53038939046008")
    assert abs(datetime.fromisoformat(vk["go_live_at"]) - clock.now()) < timedelta(minutes=1)
    own = await make(
        registry,
        "/pages",
        **common,
        network="vk",
        external_id="102",
        url="http://127.0.0.1:8090/club102",
        go_live_at="2026-01-01T00:00:00+08:00",
    )
    assert own["url"] == "http://127.0.0.1:8090/club102"
    assert datetime.fromisoformat(own["go_live_at"]) == datetime.fromisoformat("2026-01-01T00:00:00+08:00")
    answer = await registry.client.get(f"{PATH}/{vk['id']}", headers=registry.headers("executor", owner))
    assert answer.json() == vk
    connection = await database.connect()
    events = await connection.fetch(
        "SELECT subject_id, organisation_id, data FROM events WHERE type = 'page.registered' ORDER BY id"
    )
    await connection.close()
    assert [str(row["subject_id"]) for row in events] == [vk["id"], ok["id"], own["id"]]
    assert {str(row["organisation_id"]) for row in events} == {owner}
    assert json.loads(events[1]["data"])["external_id"] == "53038939046008"


async def test_duplicate_page_is_refused_naming_its_organisation(registry: ServiceUnderTest) -> None:
    owner, other = await school(registry), await school(registry, "Школа № 1")
    body = {"organisation_id": owner, "network": "vk", "external_id": "101", "name": "Страница"}
    made = await make(registry, "/pages", **body)
    await make(registry, "/pages", **{**body, "network": "ok"})
    answer = await registry.client.post(
        PATH, json={**body, "organisation_id": other}, headers=registry.headers("moderator")
    )
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/duplicate")
    assert answer.json()["organisation"] == {"id": owner, "name": "Школа № 71"}
    assert answer.json()["page_id"] == made["id"]
    assert pointers(answer) == {"/external_id"}


async def test_pages_are_filtered(registry: ServiceUnderTest) -> None:
    owner, other = await school(registry), await school(registry, "Школа № 1")
    for organisation, network, external in ((owner, "vk", "1"), (owner, "ok", "2"), (other, "vk", "3")):
        await make(
            registry,
            "/pages",
            organisation_id=organisation,
            network=network,
            external_id=external,
            name=f"Страница {external}",
        )

    async def found(**query: Any) -> list[str]:
        answer = await registry.client.get(PATH, params=query, headers=registry.headers("head"))
        return [item["external_id"] for item in answer.json()["items"]]

    assert await found() == ["1", "2", "3"]
    assert await found(organisation_id=owner) == ["1", "2"]
    assert await found(network="vk") == ["1", "3"]
    assert await found(network="vk", external_id="3") == ["3"]
    assert await found(q="страница 2") == ["2"]
    assert await found(active=False) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"external_id": "-101"}, {"/external_id"}),
        ({"external_id": 101}, {"/external_id"}),
        ({"external_id": "0101"}, {"/external_id"}),
        ({"network": "fb"}, {"/network"}),
        ({"organisation_id": str(uuid4())}, {"/organisation_id"}),
        ({"url": "javascript:alert(1)"}, {"/url"}),
        ({"url": "https://vk.com/\x00"}, {"/url"}),
        ({"go_live_at": "2026-01-01T00:00:00"}, {"/go_live_at"}),
        ({"go_live_at": "0001-01-01T00:00:00+14:00"}, {"/go_live_at"}),
        ({"screen_name": "два слова"}, {"/screen_name"}),
        ({"name": ""}, {"/name"}),
    ],
)
async def test_invalid_field_is_refused_and_named(
    registry: ServiceUnderTest, wrong: dict[str, Any], named: set[str]
) -> None:
    body = {"organisation_id": await school(registry), "network": "vk", "external_id": "101", "name": "Страница"}
    answer = await registry.client.post(PATH, json=body | wrong, headers=registry.headers("moderator"))
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == named


async def test_page_moves_to_another_organisation(registry: ServiceUnderTest, database: TestDatabase) -> None:
    owner, other = await school(registry), await school(registry, "Школа № 1")
    made = await make(registry, "/pages", organisation_id=owner, network="vk", external_id="1", name="Страница")
    path = f"{PATH}/{made['id']}"
    headers = registry.headers("moderator")
    assert (await registry.client.patch(path, json={"name": "А"}, headers=headers)).status_code == 428
    moved = await registry.client.patch(
        path, json={"organisation_id": other, "active": False}, headers=headers | {"If-Match": '"1"'}
    )
    assert (moved.json()["organisation_id"], moved.json()["active"], moved.json()["version"]) == (other, False, 2)
    stale = await registry.client.patch(path, json={"name": "А"}, headers=headers | {"If-Match": '"1"'})
    assert stale.status_code == 412
    for body, field in (
        ({"external_id": "2"}, "/external_id"),
        ({"url": None}, "/url"),
        ({"organisation_id": str(uuid4())}, "/organisation_id"),
    ):
        answer = await registry.client.patch(path, json=body, headers=headers | {"If-Match": "*"})
        assert answer.status_code == 422
        assert pointers(answer) == {field}
    connection = await database.connect()
    data = json.loads(await connection.fetchval("SELECT data FROM events WHERE type = 'page.changed'"))
    await connection.close()
    assert (data["changed"], data["previous_organisation_id"]) == (["active", "organisation_id"], owner)
