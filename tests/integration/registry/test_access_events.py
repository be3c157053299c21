"""Events about changed access contain ids and names of fields, but no personal names or values."""

import json
from typing import Any

from tests.conftest import TestDatabase
from tests.integration.registry.conftest import sign_in
from tests.support.service_under_test import ServiceUnderTest


async def emitted(database: TestDatabase, subject: str) -> list[dict[str, Any]]:
    connection = await database.connect()
    rows = await connection.fetch(
        "SELECT type, data::text FROM events WHERE subject_id = $1::text::uuid ORDER BY created_at, id", subject
    )
    await connection.close()
    return [{"type": row["type"], **json.loads(row["data"])} for row in rows]


async def test_change_of_a_persons_access_emits_an_event(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    operations = registry.headers("operations", **{"If-Match": "*"})
    body = {"username": "tanya", "full_name": "Таня", "role": "head", "password": "long enough 1"}
    made = await registry.client.post("/api/v1/people", json=body, headers=operations)
    path, subject = f"/api/v1/people/{made.json()['id']}", made.json()["id"]
    for change in ({"role": "analyst"}, {"full_name": "Татьяна"}, {"password": "long enough 2"}):
        assert (await registry.client.patch(path, json=change, headers=operations)).status_code == 200
    locked = await registry.client.post(f"{path}/lock", json={"reason": "Ушла"}, headers=operations)
    assert locked.status_code == 200
    assert (await registry.client.post(f"{path}/unlock", headers=operations)).status_code == 200
    assert (await registry.client.post(f"{path}/unlock", headers=operations)).status_code == 200
    assert await emitted(database, subject) == [
        {"type": "person.changed", "changed": ["role"], "version": 2},
        {"type": "person.changed", "changed": ["password"], "version": 4},
        {"type": "person.changed", "changed": ["locked_at"], "version": 5},
        {"type": "person.changed", "changed": ["locked_at"], "version": 6},
    ]
    assert (await sign_in(registry, username="tanya", password="long enough 2")).status_code == 200


async def test_change_of_a_clients_access_emits_an_event(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    operations = registry.headers("operations", **{"If-Match": "*"})
    body = {"name": "Сайт", "role": "head"}
    made = (await registry.client.post("/api/v1/clients", json=body, headers=operations)).json()
    path = f"/api/v1/clients/{made['id']}"
    narrowed = await registry.client.patch(path, json={"scopes": ["metrics:read"]}, headers=operations)
    assert narrowed.status_code == 200, narrowed.text
    assert (await registry.client.delete(path, headers=operations)).status_code == 204
    assert await emitted(database, made["id"]) == [
        {"type": "client.changed", "changed": ["scopes"], "version": 2},
        {"type": "client.changed", "changed": ["active"], "version": 3},
    ]
