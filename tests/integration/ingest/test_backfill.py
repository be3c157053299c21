"""Backfills: history is fetched completely and once, and opens appeals only on request."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.sync.backfill_runner import BackfillRunner
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.integration.ingest.memory_network import SeededPages, comment, running, seeded_pages
from tests.support.eventually import eventually
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(f"GOSPABLIK_{name.upper()}", value)


@pytest.fixture
async def raw_connection(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    await connection.close()


@pytest.fixture
async def api(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as service:
        yield service


def backfiller(here: SeededPages) -> BackfillRunner:
    return BackfillRunner(here.database, here.feed, {"vk": here.network}, here.settings)


async def ask(api: ServiceUnderTest, page_id: UUID, status: int = 202, **body: Any) -> dict[str, Any]:
    body = {"since": (clock.now() - 30 * DAY).isoformat()} | body
    answer = await api.client.post(
        f"/api/v1/sources/{page_id}/backfills", json=body, headers=api.headers("operations")
    )
    assert answer.status_code == status, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def read(api: ServiceUnderTest, backfill_id: str) -> dict[str, Any]:
    answer = await api.client.get(f"/api/v1/sources/backfills/{backfill_id}", headers=api.headers("moderator"))
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def until(api: ServiceUnderTest, backfill_id: str, status: str) -> dict[str, Any]:
    async def look() -> Any:
        found = await read(api, backfill_id)
        return found if found["status"] == status else None

    result: dict[str, Any] = await eventually(look)
    return result


async def test_backfill_stores_all_messages_as_history(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    async with seeded_pages(database) as here:
        await raw_connection.execute("UPDATE pages SET go_live_at = now() - interval '2 days'")
        here.network.items = [comment(n, n * DAY) for n in range(1, 8)] + [comment(99, 40 * DAY)]
        await here.push(comment(3, 3 * DAY))
        asked = await ask(api, here.page.id)
        assert (asked["status"], asked["progress"], asked["items_read"], asked["messages_added"]) == (
            "queued",
            0.0,
            0,
            0,
        )
        async with running(backfiller(here)):
            done = await until(api, asked["id"], "done")
        assert (done["progress"], done["items_read"], done["messages_added"], done["error"]) == (1.0, 7, 6, None)
        assert done["finished_at"] is not None
        rows = await raw_connection.fetch(
            "SELECT history, source_kind FROM messages WHERE source_kind = 'backfill'"
        )
        assert [row["history"] for row in rows].count(True) == 4
        assert len(rows) == 6


async def test_backfill_that_opens_appeals_does_not_mark_messages_as_history(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    async with seeded_pages(database) as here:
        await raw_connection.execute("UPDATE pages SET go_live_at = now()")
        here.network.items = [comment(1, DAY)]
        asked = await ask(api, here.page.id, open_appeals=True)
        async with running(backfiller(here)):
            await until(api, asked["id"], "done")
        assert await raw_connection.fetchval("SELECT history FROM messages") is False


async def test_stopped_backfill_resumes_from_cursor(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * DAY) for n in range(1, 10)]
        here.network.stop_after = 2
        asked = await ask(api, here.page.id)

        async def two_steps() -> Any:
            found = await read(api, asked["id"])
            return found if found["items_read"] == 6 else None

        async with running(backfiller(here)):
            halfway = await eventually(two_steps)
        assert (halfway["status"], halfway["progress"], halfway["messages_added"]) == (
            "running",
            pytest.approx(2 / 3),
            6,
        )
        here.network.stop_after = None
        here.network.gate.set()
        async with running(backfiller(here)):
            done = await until(api, asked["id"], "done")
        assert (done["items_read"], done["messages_added"]) == (9, 9)
        assert [cursor for _, cursor in here.network.asked] == [{}, {"at": 6}]
        assert await raw_connection.fetchval("SELECT count(*) FROM messages") == 9


@pytest.mark.parametrize(
    "error",
    [
        NoUsableToken("no calls of wall.get are left today"),
        NoValidResponse("vk", "wall.get", "no answer in time"),
        CallError("vk", "wall.get", 29, "Rate limit reached", ErrorTreatment.QUOTA_EXHAUSTED),
    ],
)
async def test_transient_errors_delay_backfill(
    database: TestDatabase, api: ServiceUnderTest, error: Exception
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(1, DAY)]
        here.network.errors = [error]
        asked = await ask(api, here.page.id)
        here.network.gate.clear()
        async with running(backfiller(here)):
            here.network.gate.set()

            async def waits() -> Any:
                return (await read(api, asked["id"]))["error"]

            assert str(error) in await eventually(waits)
            done = await until(api, asked["id"], "done")
        assert (done["messages_added"], done["error"]) == (1, None)


async def _stored_cursor(raw_connection: asyncpg.Connection, backfill_id: str) -> Any:
    return json.loads(
        await raw_connection.fetchval("SELECT cursor FROM backfills WHERE id = $1", UUID(backfill_id))
    )


async def test_permanent_errors_fail_backfill_with_reason(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(1, DAY)]
        here.network.errors = [CallError("vk", "wall.get", 15, "Access denied", ErrorTreatment.DENIED)]
        asked = await ask(api, here.page.id)
        # The cursor names the last conversation that was read. A failed backfill must not keep its id.
        await raw_connection.execute('UPDATE backfills SET cursor = \'{"after": "chat:C1"}\'')
        async with running(backfiller(here)):
            failed = await until(api, asked["id"], "failed")
        assert failed["error"] == "the network rejected the request: vk wall.get: error 15: Access denied"
        assert await _stored_cursor(raw_connection, asked["id"]) == {}
        again = await ask(api, here.page.id)
        assert again["id"] != asked["id"]


async def test_cancelled_backfill_stores_nothing_more(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * DAY) for n in range(1, 10)]
        here.network.stop_after = 1
        asked = await ask(api, here.page.id)

        async def one_step() -> Any:
            return (await read(api, asked["id"]))["items_read"]

        async with running(backfiller(here)):
            await eventually(one_step)
            path = f"/api/v1/sources/backfills/{asked['id']}/cancel"
            answer = await api.client.post(path, headers=api.headers("operations"))
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text
            here.network.stop_after = None
            here.network.gate.set()
            fresh = await ask(api, here.page.id)
            await until(api, fresh["id"], "done")
        assert (await read(api, asked["id"]))["items_read"] == 3
        assert await _stored_cursor(raw_connection, asked["id"]) == {}
        again = await api.client.post(path, headers=api.headers("operations"))
        assert again.status_code == 409
        assert await raw_connection.fetchval("SELECT count(*) FROM messages") == 9


async def test_second_backfill_and_invalid_requests_are_rejected(
    database: TestDatabase, api: ServiceUnderTest
) -> None:
    page_id = await insert_page(database, await insert_organisation(database))
    path = f"/api/v1/sources/{page_id}/backfills"
    for since, why in (
        ("2026-01-01T00:00:00", "timezone"),
        ((clock.now() + DAY).isoformat(), "in the future"),
        ("1999-01-01T00:00:00+08:00", "earliest allowed date"),
        ("0001-01-01T00:00:00+14:00", "earliest allowed date"),
        ("9999-12-31T23:59:59-14:00", "in the future"),
        (None, "valid"),
    ):
        refused = await api.client.post(path, json={"since": since}, headers=api.headers("operations"))
        assert refused.status_code == 422, refused.text
        (error,) = refused.json()["errors"]
        assert error["pointer"] == "/since"
        assert why in error["detail"]
    body = {"since": (clock.now() - DAY).isoformat()}
    key = {"Idempotency-Key": str(uuid4())}
    first, repeated = [
        await api.client.post(path, json=body, headers=api.headers("operations", **key)) for _ in range(2)
    ]
    assert (first.status_code, repeated.status_code) == (202, 202), first.text + repeated.text
    assert first.json() == repeated.json()
    second = await api.client.post(path, json=body, headers=api.headers("operations"))
    assert second.status_code == 409
    assert second.json()["backfill_id"] == first.json()["id"]
    unknown = await api.client.post(
        f"/api/v1/sources/{uuid4()}/backfills", json=body, headers=api.headers("operations")
    )
    assert unknown.status_code == 404
    for role, organisation in (("head", None), ("executor", await insert_organisation(database))):
        refused = await api.client.post(path, json=body, headers=api.headers(role, organisation))
        assert refused.status_code == 403
    listed = await api.client.get(
        "/api/v1/sources/backfills", params={"page_id": str(page_id)}, headers=api.headers("operations")
    )
    assert [one["id"] for one in listed.json()["items"]] == [first.json()["id"]]
    foreign = await api.client.get(
        f"/api/v1/sources/backfills/{first.json()['id']}", headers=api.headers("executor", uuid4())
    )
    assert foreign.status_code == 404


async def test_two_workers_store_each_step_once(
    database: TestDatabase, raw_connection: asyncpg.Connection, api: ServiceUnderTest
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * DAY) for n in range(1, 16)]
        asked = await ask(api, here.page.id)
        async with running(backfiller(here)), running(backfiller(here)):
            done = await until(api, asked["id"], "done")
            await asyncio.sleep(0)
        assert (done["items_read"], done["messages_added"]) == (15, 15)
        assert await raw_connection.fetchval("SELECT count(*) FROM messages") == 15
