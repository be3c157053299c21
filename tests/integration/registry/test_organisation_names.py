"""Names of an organisation: kept on rename, added and removed, with their validity."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine

from services.registry.organisations import names
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest, insert_organisation

PATH = "/api/v1/organisations"


async def names_of(registry: ServiceUnderTest, organisation_id: str) -> list[tuple[Any, ...]]:
    answer = await registry.client.get(f"{PATH}/{organisation_id}/names", headers=registry.headers("head"))
    assert answer.status_code == 200, answer.text
    fields = ("kind", "name", "valid_from", "valid_to")
    return [tuple(item[field] for field in fields) for item in answer.json()["items"]]


async def rename(registry: ServiceUnderTest, organisation_id: str, **body: Any) -> None:
    headers = registry.headers("moderator", **{"If-Match": "*"})
    answer = await registry.client.patch(f"{PATH}/{organisation_id}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_rename_keeps_the_old_name(registry: ServiceUnderTest) -> None:
    with time_machine.travel("2026-03-10T20:00:00+00:00", tick=False):
        made = await make(
            registry, "/organisations", name="Район", short_name="Р", kind="municipality", valid_from="2006-01-01"
        )
    with time_machine.travel("2026-06-30T20:00:00+00:00", tick=False):
        # 1 July in the region.
        await rename(registry, made["id"], name="Окург", short_name=None)
        await rename(registry, made["id"], name="Округ", phone="1")
    assert sorted(await names_of(registry, made["id"]), key=str) == [
        ("former", "Р", "2006-01-01", "2026-06-30"),
        ("former", "Район", "2006-01-01", "2026-06-30"),
        ("official", "Округ", "2026-07-01", None),
    ]
    with time_machine.travel("2026-08-01T01:00:00+00:00", tick=False):
        await rename(registry, made["id"], short_name="О")
        await rename(registry, made["id"], kind="regional")
    assert (await names_of(registry, made["id"]))[0] == ("short", "О", "2026-08-01", None)
    assert len(await names_of(registry, made["id"])) == 4


async def test_name_is_added_once_and_removed(registry: ServiceUnderTest, database: TestDatabase) -> None:
    made = await make(registry, "/organisations", name="Средняя школа № 71", kind="institution")
    path = f"/organisations/{made['id']}/names"
    alias = await make(registry, path, kind="alias", name="  Семьдесят первая ")
    assert (alias["name"], alias["organisation_id"]) == ("Семьдесят первая", made["id"])
    former = {"kind": "former", "name": "Школа-интернат", "valid_from": "1990-01-01", "valid_to": "2001-08-31"}
    await make(registry, path, **former)
    headers = registry.headers("moderator")
    again = await registry.client.post(f"/api/v1{path}", json=former, headers=headers)
    assert (again.status_code, pointers(again)) == (409, {"/name"})
    await make(registry, path, **former | {"valid_from": "2005-01-01", "valid_to": None})
    gone = await registry.client.delete(f"/api/v1{path}/{alias['id']}", headers=headers)
    assert gone.status_code == 204
    twice = await registry.client.delete(f"/api/v1{path}/{alias['id']}", headers=headers)
    assert twice.status_code == 404
    assert [kind for kind, *_ in await names_of(registry, made["id"])] == ["former", "former", "official"]
    connection = await database.connect()
    changes = await connection.fetch("SELECT data->'changed' FROM events WHERE type = 'organisation.changed'")
    await connection.close()
    assert [row[0] for row in changes] == ['["names"]'] * 4


async def test_current_name_cannot_be_removed(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/organisations", name="Школа", kind="institution")
    other = await make(registry, "/organisations", name="Другая", kind="institution")
    headers = registry.headers("moderator")
    listed = await registry.client.get(f"{PATH}/{made['id']}/names", headers=headers)
    own = listed.json()["items"][0]["id"]
    assert (await registry.client.delete(f"{PATH}/{made['id']}/names/{own}", headers=headers)).status_code == 409
    # The name belongs to the other organisation.
    assert (await registry.client.delete(f"{PATH}/{other['id']}/names/{own}", headers=headers)).status_code == 404


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"/kind", "/name"}),
        ({"kind": "official", "name": "Школа"}, {"/kind"}),
        ({"kind": "alias", "name": "\ud800"}, {"/name"}),
        ({"kind": "alias", "name": "Две\nстроки"}, {"/name"}),
        ({"kind": "former", "name": "Школа", "valid_from": "2020-01-02", "valid_to": "2020-01-01"}, {"/valid_to"}),
    ],
)
async def test_invalid_name_is_refused(registry: ServiceUnderTest, body: dict[str, Any], named: set[str]) -> None:
    made = await make(registry, "/organisations", name="Школа", kind="institution")
    # Sent as escapes: half of a surrogate pair cannot be encoded.
    headers = registry.headers("moderator", **{"Content-Type": "application/json"})
    answer = await registry.client.post(f"{PATH}/{made['id']}/names", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == named
    nobody = await registry.client.post(
        f"{PATH}/{uuid4()}/names", json={"kind": "alias", "name": "А"}, headers=registry.headers("moderator")
    )
    assert nobody.status_code == 404


async def test_pages_of_names_have_no_gaps(registry: ServiceUnderTest) -> None:
    made = await make(registry, "/organisations", name="Школа", kind="institution")
    for number in range(4):
        await make(registry, f"/organisations/{made['id']}/names", kind="alias", name=f"Имя {number}")
    headers = registry.headers("head")
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        answer = (await registry.client.get(f"{PATH}/{made['id']}/names", params=query, headers=headers)).json()
        seen += [item["name"] for item in answer["items"]]
        if (cursor := answer["next_cursor"]) is None:
            break
        query["cursor"] = cursor
    assert seen == ["Имя 3", "Имя 2", "Имя 1", "Имя 0", "Школа"]


async def test_names_normalized_by_older_rules_are_refreshed(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    by_hand = await insert_organisation(database, name="СОШ № 5")
    connection = await database.connect()
    await connection.execute(
        "INSERT INTO organisation_names (id, organisation_id, kind, name, normalized_name, created_at)"
        " VALUES ($1, $2, 'alias', 'Пятая СОШ', 'пятая сош', now())",
        UUID(int=5),
        by_hand,
    )
    async with registry.service.database.write() as session:
        assert await names.refresh_normalized_names(session) == 2
    async with registry.service.database.write() as session:
        assert await names.refresh_normalized_names(session) == 0
    rows = await connection.fetch("SELECT kind, name, normalized_name FROM organisation_names ORDER BY kind")
    await connection.close()
    assert [tuple(row) for row in rows] == [
        ("alias", "Пятая СОШ", "пятая школа"),
        ("official", "СОШ № 5", "школа 5"),
    ]
