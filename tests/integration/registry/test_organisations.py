"""Organisations: register, list, change, and refused input."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/organisations"
SCHOOL: dict[str, Any] = {
    "name": "Средняя школа № 71 имени А. Ёлкина",
    "short_name": "Школа № 71",
    "code": "school71",
    "kind": "institution",
    "sphere": "образование",
    "municipality": "81701000",
}


async def names(registry: ServiceUnderTest, **query: Any) -> list[str]:
    answer = await registry.client.get(PATH, params=query, headers=registry.headers("head"))
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_registered_organisation_is_returned(registry: ServiceUnderTest, database: TestDatabase) -> None:
    owner = await make(registry, "/organisations", name="Комитет по образованию", kind="municipality")
    made = await make(registry, "/organisations", **SCHOOL, parent_id=owner["id"])
    assert {key: made[key] for key in SCHOOL} == SCHOOL
    answer = await registry.client.get(f"{PATH}/{made['id']}", headers=registry.headers("operations"))
    assert answer.json() == made
    assert answer.headers["etag"].startswith('"1-')
    connection = await database.connect()
    events = await connection.fetch("SELECT type, organisation_id, data->>'code' AS code FROM events ORDER BY id")
    await connection.close()
    assert [(row["type"], row["code"]) for row in events] == [
        ("organisation.registered", None),
        ("organisation.registered", "school71"),
    ]
    assert str(events[1]["organisation_id"]) == made["id"]


async def test_organisations_are_filtered(registry: ServiceUnderTest) -> None:
    owner = await make(registry, "/organisations", name="Министерство", kind="regional", sphere="образование")
    await make(registry, "/organisations", **SCHOOL, parent_id=owner["id"])
    await make(registry, "/organisations", name="Яблочный сад № 100%", kind="institution")
    school, garden, ministry = SCHOOL["name"], "Яблочный сад № 100%", "Министерство"
    assert await names(registry) == [ministry, school, garden]
    assert await names(registry, code="school71") == [school]
    assert await names(registry, code="unknown") == []
    assert await names(registry, kind="institution") == [school, garden]
    assert await names(registry, sphere="образование") == [ministry, school]
    assert await names(registry, municipality="81701000") == [school]
    assert await names(registry, parent_id=owner["id"]) == [school]
    assert await names(registry, q="елкина ШКОЛА") == [school]
    assert await names(registry, q="100%") == [garden]
    assert await names(registry, q="1%0") == []
    assert await names(registry, q="_") == []
    assert await names(registry, active=False) == []


async def test_names_are_sorted_alphabetically(registry: ServiceUnderTest) -> None:
    for name in ("ёлка", "Ежевика", "Жук", "Ель", "ежи"):
        await make(registry, "/organisations", name=name, kind="other")
    assert await names(registry) == ["Ежевика", "ежи", "ёлка", "Ель", "Жук"]


async def test_pages_of_a_list_have_no_gaps(registry: ServiceUnderTest) -> None:
    for number in range(7):
        await make(registry, "/organisations", name=f"Школа {number % 2}", kind="institution", code=f"s{number}")
    headers = registry.headers("moderator")
    found: list[str] = []
    query: dict[str, Any] = {"limit": 3, "kind": "institution"}
    while True:
        answer = await registry.client.get(PATH, params=query, headers=headers)
        found += [item["code"] for item in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        assert ("link" in answer.headers) == (cursor is not None)
        if cursor is None:
            break
        query["cursor"] = cursor
    assert sorted(found) == [f"s{number}" for number in range(7)]
    # A cursor is bound to its filter, its caller and its list.
    for other, caller in (
        ({"kind": "court"}, headers),
        ({"kind": "institution"}, {"Authorization": f"Bearer {registry.token('head', subject=str(uuid4()))}"}),
    ):
        answer = await registry.client.get(PATH, params={**other, "cursor": query["cursor"]}, headers=caller)
        assert answer.status_code == 422
        assert pointers(answer) == {"query/cursor"}
    answer = await registry.client.get("/api/v1/pages", params={"cursor": query["cursor"]}, headers=headers)
    assert pointers(answer) == {"query/cursor"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"/name", "/kind"}),
        ({**SCHOOL, "name": " "}, {"/name"}),
        ({**SCHOOL, "name": "Две\nстроки"}, {"/name"}),
        ({**SCHOOL, "name": "Нуль\x00"}, {"/name"}),
        ({**SCHOOL, "name": "x" * 501}, {"/name"}),
        ({**SCHOOL, "kind": "ministry"}, {"/kind"}),
        ({**SCHOOL, "code": "Школа"}, {"/code"}),
        ({**SCHOOL, "municipality": "123"}, {"/municipality"}),
        ({**SCHOOL, "municipality": "99999999"}, {"/municipality"}),
        ({**SCHOOL, "parent_id": "x"}, {"/parent_id"}),
        ({**SCHOOL, "parent_id": str(uuid4()), "calendar_id": str(uuid4())}, {"/parent_id", "/calendar_id"}),
        ({**SCHOOL, "inn": "1"}, {"/inn"}),
    ],
)
async def test_invalid_field_is_refused_and_named(
    registry: ServiceUnderTest, body: dict[str, Any], named: set[str]
) -> None:
    answer = await registry.client.post(PATH, json=body, headers=registry.headers("moderator"))
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == named
    assert await names(registry) == []


async def test_invalid_query_is_refused_naming_the_parameter(registry: ServiceUnderTest) -> None:
    headers = registry.headers("moderator")
    for query in ({"kind": "x"}, {"q": "\x00"}, {"code": "\x00"}, {"limit": "0"}, {"parent_id": "x"}):
        answer = await registry.client.get(PATH, params=query, headers=headers)
        assert answer.status_code == 422, query
        assert pointers(answer) == {f"query/{name}" for name in query}
    broken = await registry.client.post(PATH, content=b"{", headers=headers | {"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["type"]) == (400, "/problems/bad-request")
    assert (await registry.client.get(f"{PATH}/{uuid4()}", headers=headers)).status_code == 404


async def test_duplicate_code_is_refused(registry: ServiceUnderTest) -> None:
    first = await make(registry, "/organisations", **SCHOOL)
    headers = registry.headers("moderator")
    again = await registry.client.post(PATH, json={**SCHOOL, "name": "Другая"}, headers=headers)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/duplicate")
    assert again.json()["organisation"] == {"id": first["id"], "name": first["name"]}
    assert pointers(again) == {"/code"}
    bodies = [{**SCHOOL, "code": "race", "name": f"Школа {n}"} for n in range(6)]
    answers = await asyncio.gather(*(registry.client.post(PATH, json=body, headers=headers) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_repeated_request_creates_one_organisation(registry: ServiceUnderTest) -> None:
    headers = registry.headers("moderator", **{"Idempotency-Key": "once"})
    first = await registry.client.post(PATH, json=SCHOOL, headers=headers)
    second = await registry.client.post(PATH, json=SCHOOL, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    other = await registry.client.post(PATH, json={**SCHOOL, "code": "other"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_change_with_stale_version_is_refused(registry: ServiceUnderTest, database: TestDatabase) -> None:
    made = await make(registry, "/organisations", **SCHOOL)
    path = f"{PATH}/{made['id']}"
    headers = registry.headers("moderator")
    change = {"name": "Ёлочка", "sphere": None}
    assert (await registry.client.patch(path, json=change, headers=headers)).status_code == 428
    changed = await registry.client.patch(path, json=change, headers=headers | {"If-Match": '"1"'})
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert (changed.json()["name"], changed.json()["sphere"]) == ("Ёлочка", None)
    stale = await registry.client.patch(path, json=change, headers=headers | {"If-Match": '"1"'})
    assert (stale.status_code, stale.headers["etag"]) == (412, '"2"')
    same = await registry.client.patch(path, json=change, headers=headers | {"If-Match": '"2"'})
    assert same.json()["version"] == 2
    assert await names(registry, q="елочка") == ["Ёлочка"]
    for body, field in (({"name": None}, "/name"), ({"kind": "x"}, "/kind"), ({"id": made["id"]}, "/id")):
        answer = await registry.client.patch(path, json=body, headers=headers | {"If-Match": "*"})
        assert answer.status_code == 422
        assert pointers(answer) == {field}
    connection = await database.connect()
    changes = await connection.fetch("SELECT data->'changed' FROM events WHERE type = 'organisation.changed'")
    await connection.close()
    assert [row[0] for row in changes] == ['["name", "sort_key", "sphere"]']


async def test_cycle_in_the_tree_is_refused(registry: ServiceUnderTest) -> None:
    top = await make(registry, "/organisations", name="А", kind="regional")
    middle = await make(registry, "/organisations", name="Б", kind="regional", parent_id=top["id"])
    leaf = await make(registry, "/organisations", name="В", kind="regional", parent_id=middle["id"])
    headers = registry.headers("moderator", **{"If-Match": "*"})
    for child, parent in ((top, leaf), (top, top), (middle, leaf)):
        answer = await registry.client.patch(
            f"{PATH}/{child['id']}", json={"parent_id": parent["id"]}, headers=headers
        )
        assert answer.status_code == 422
        assert pointers(answer) == {"/parent_id"}
    moved = await registry.client.patch(f"{PATH}/{leaf['id']}", json={"parent_id": top["id"]}, headers=headers)
    assert moved.json()["parent_id"] == top["id"]


async def test_all_municipalities_are_listed(registry: ServiceUnderTest) -> None:
    answer = await registry.client.get("/api/v1/municipalities", headers=registry.headers("head"))
    items = answer.json()["items"]
    assert len(items) == 23
    assert [item["name"] for item in items if item["kind"] == "city"] == [
        "город Северобайкальск",
        "город Улан-Удэ",
    ]
    assert {"oktmo": "81645000", "name": "Северо-Байкальский район", "kind": "district"} in items
