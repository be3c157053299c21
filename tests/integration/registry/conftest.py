"""The registry on a real database, with the demo accounts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from aiohttp import web

from services.registry.access import people
from tests.conftest import TestDatabase
from tests.support.service_under_test import ServiceUnderTest, service_under_test


@pytest.fixture
async def registry(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    """Return the registry's API without its worker."""
    async with service_under_test("registry", database, keys_dir) as running:
        yield running


@pytest.fixture
async def registry_with_people(registry: ServiceUnderTest) -> ServiceUnderTest:
    """Return the registry with the accounts `centre`, `head` and `ops`."""
    async with registry.service.database.write() as session:
        await people.ensure_demo_people(session)
    return registry


@asynccontextmanager
async def registry_asking(
    resolve: Callable[[web.Request], Awaitable[web.Response]], database: TestDatabase, keys_dir: Path
) -> AsyncIterator[ServiceUnderTest]:
    """Run the registry's API with a server in ingest's place that responds to `POST /internal/pages/resolve`."""
    app = web.Application()
    app.router.add_post("/internal/pages/resolve", resolve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with service_under_test(
            "registry", database, keys_dir, ingest_url=f"http://{host}:{port}"
        ) as running:
            yield running
    finally:
        await runner.cleanup()


async def sign_in(registry: ServiceUnderTest, **form: str) -> httpx.Response:
    """Call the token endpoint once; the grant is `password` by default."""
    return await registry.client.post("/api/v1/auth/token", data={"grant_type": "password", **form})


async def make(registry: ServiceUnderTest, path: str, **body: Any) -> dict[str, Any]:
    """Register an object as the centre's moderator; return it."""
    answer = await registry.client.post(f"/api/v1{path}", json=body, headers=registry.headers("moderator"))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pointers(answer: httpx.Response) -> set[str]:
    """Return the pointers of the fields that a problem document names."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {error["pointer"] for error in answer.json()["errors"]}


async def misplaced(database: TestDatabase) -> list[str]:
    """Return names of organisations whose lineage differs from their path in the tree."""
    connection = await database.connect()
    rows = await connection.fetch(
        """WITH RECURSIVE tree AS (
               SELECT id, ARRAY[id] AS way FROM organisations WHERE parent_id IS NULL
               UNION ALL
               SELECT child.id, way || child.id FROM organisations child JOIN tree ON child.parent_id = tree.id
           )
           SELECT name FROM organisations LEFT JOIN tree USING (id)
           WHERE lineage IS DISTINCT FROM way ORDER BY name"""
    )
    await connection.close()
    return [row["name"] for row in rows]


async def wait_until_blocked(
    raw_connection: asyncpg.Connection, task: asyncio.Task[Any], connections: int = 1
) -> bool:
    """Return true once this many connections wait for a lock; false if the task ends first."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while await raw_connection.fetchval(query) < connections:
        if task.done():
            return False
        await asyncio.sleep(0.02)
    return True
