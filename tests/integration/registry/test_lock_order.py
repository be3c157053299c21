"""Sign-ins and changes of access that lock the same rows at once wait for each other and do not deadlock."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import asyncpg
import httpx
import pytest

from services.registry.authentication import throttle
from services.registry.authentication.throttle import SignInAttempt
from shared import clock
from shared.auth.session_cookies import REFRESH_COOKIE
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import sign_in, wait_until_blocked
from tests.integration.registry.test_api_clients import GRANT, PATH, create_client
from tests.integration.registry.test_cookie_sessions import OWN_PAGE, SESSION, cookies_of
from tests.support.service_under_test import ServiceUnderTest

T = TypeVar("T")
ATTEMPT = SignInAttempt("head", "203.0.113.7")
PAIR, NAME = (digest for digest, _ in ATTEMPT.counters[:2])


@pytest.fixture
async def watcher(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    await connection.close()


@asynccontextmanager
async def locked_row(database: TestDatabase, query: str, *values: object) -> AsyncIterator[None]:
    """Lock a row until the block ends."""
    holder = await database.connect()
    try:
        async with holder.transaction():
            assert await holder.fetchrow(f"{query} FOR UPDATE", *values) is not None
            yield
    finally:
        await holder.close()


async def start_until_blocked(
    watcher: asyncpg.Connection, work: Coroutine[Any, Any, T], connections: int
) -> asyncio.Task[T]:
    """Start the work; return it once this many connections wait for locks."""
    task = asyncio.create_task(work)
    assert await wait_until_blocked(watcher, task, connections)
    return task


async def insert_counters(watcher: asyncpg.Connection, failed_at: datetime) -> None:
    # A scan of the table finds the counter of the name first, unlike an attempt.
    for digest in (NAME, PAIR):
        await watcher.execute(
            "INSERT INTO sign_in_failures (digest, failures, failed_at) VALUES ($1, 1, $2)", digest, failed_at
        )


async def record_failure(registry: ServiceUnderTest) -> None:
    async with registry.service.database.write() as session:
        await throttle.record_failure(session, ATTEMPT, clock.now())


async def test_sign_in_of_a_client_during_a_rotation_does_not_deadlock(
    registry: ServiceUnderTest, database: TestDatabase, watcher: asyncpg.Connection
) -> None:
    client = await create_client(registry)
    path, operations = f"{PATH}/{client['id']}/secrets", registry.headers("operations")
    form = {**GRANT, "client_id": client["id"], "client_secret": client["secret"]}
    async with locked_row(database, "SELECT id FROM api_clients WHERE id = $1", client["id"]):
        rotation = await start_until_blocked(watcher, registry.client.post(path, json={}, headers=operations), 1)
        signing_in = await start_until_blocked(watcher, sign_in(registry, **form), 2)
    answers = await asyncio.gather(rotation, signing_in)
    assert [answer.status_code for answer in answers] == [201, 200]


async def test_wrong_password_during_an_unlock_does_not_deadlock(
    registry: ServiceUnderTest, database: TestDatabase, watcher: asyncpg.Connection
) -> None:
    await insert_counters(watcher, clock.now())

    async def clear() -> None:
        async with registry.service.database.write() as session:
            await throttle.clear_failures(session, ATTEMPT.username)

    async with locked_row(database, "SELECT digest FROM sign_in_failures WHERE digest = $1", NAME):
        clearing = await start_until_blocked(watcher, clear(), 1)
        recording = await start_until_blocked(watcher, record_failure(registry), 2)
    await asyncio.gather(clearing, recording)
    counted = await watcher.fetch("SELECT failures FROM sign_in_failures WHERE digest IN ($1, $2)", NAME, PAIR)
    assert [row["failures"] for row in counted] == [1, 1]


async def test_purge_of_counters_leaves_those_that_an_attempt_has_locked(
    registry: ServiceUnderTest, database: TestDatabase, watcher: asyncpg.Connection
) -> None:
    await insert_counters(watcher, clock.now() - throttle.FAILURES_RESET_AFTER - timedelta(minutes=1))

    async def purge() -> None:
        async with registry.service.database.write() as session:
            await throttle.purge_expired(session, clock.now())

    async with locked_row(database, "SELECT digest FROM sign_in_failures WHERE digest = $1", NAME):
        purging = asyncio.create_task(purge())
        assert not await wait_until_blocked(watcher, purging)
        await purging
    kept = await watcher.fetch("SELECT digest FROM sign_in_failures")
    assert [row["digest"] for row in kept] == [NAME]


async def test_two_browsers_that_exchange_their_accounts_do_not_deadlock(
    registry_with_people: ServiceUnderTest, database: TestDatabase, watcher: asyncpg.Connection
) -> None:
    rows = await watcher.fetch("SELECT id, username FROM people WHERE username IN ('centre', 'head') ORDER BY id")
    first, second = (row["username"] for row in rows)

    async def signed_in(name: str, former: str = "") -> httpx.Response:
        headers = OWN_PAGE | ({"Cookie": f"{REFRESH_COOKIE}={former}"} if former else {})
        return await registry_with_people.client.post(
            SESSION, json={"username": name, "password": "demo"}, headers=headers
        )

    of_first, of_second = [cookies_of(await signed_in(name))[REFRESH_COOKIE] for name in (first, second)]
    async with locked_row(database, "SELECT id FROM people WHERE id = $1", rows[0]["id"]):
        # The first waits for the locked person; the second must hold no lock on the other person meanwhile.
        becomes_first = await start_until_blocked(watcher, signed_in(first, of_second), 1)
        becomes_second = await start_until_blocked(watcher, signed_in(second, of_first), 2)
    answers = await asyncio.gather(becomes_first, becomes_second)
    assert [answer.status_code for answer in answers] == [200, 200]
    ended = await watcher.fetchval("SELECT count(*) FROM refresh_tokens WHERE revoked_at IS NOT NULL")
    assert ended == 2
