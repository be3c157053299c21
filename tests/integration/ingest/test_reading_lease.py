"""One of several workers reads the networks; another continues when it stops or its lease expires."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from socket import gethostname

import asyncpg
import pytest
from aiohttp import web

from services.ingest.sources.reading_lease import ReadingLeaseHolder
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import FAST, KEYS, Emulator, connected
from tests.support.eventually import eventually, eventually_true
from tests.support.service_under_test import service_under_test


async def _set_lease(database: TestDatabase, holder: str, lasts: timedelta) -> None:
    raw_connection: asyncpg.Connection = await database.connect()
    await raw_connection.execute(
        "INSERT INTO reading_leases (part, holder, expires_at) VALUES ('all', $1, now() + $2)"
        " ON CONFLICT (part) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at",
        holder,
        lasts,
    )
    await raw_connection.close()


async def test_one_worker_holds_the_lease_until_it_expires(tables: Database, database: TestDatabase) -> None:
    first, second = (ReadingLeaseHolder(tables, name, 3_600) for name in ("a:8000", "b:8000"))
    assert [await first.renew(), await second.renew(), await first.renew()] == [True, False, True]
    await _set_lease(database, "a:8000", -timedelta(seconds=1))
    assert [await second.renew(), await first.renew()] == [True, False]


async def test_second_worker_gets_the_lease_at_once_when_the_first_releases_it(tables: Database) -> None:
    first, second = (ReadingLeaseHolder(tables, name, 3_600) for name in ("a:8000", "b:8000"))
    assert await first.renew()
    await second.release()  # the second worker holds no lease
    assert not await second.renew()
    await first.release()
    assert await second.renew()


async def test_restarted_worker_of_the_same_name_keeps_the_lease(tables: Database) -> None:
    assert await ReadingLeaseHolder(tables, "a:8000", 3_600).renew()
    assert await ReadingLeaseHolder(tables, "a:8000", 3_600).renew()


async def test_lease_with_an_expiry_in_the_far_future_may_be_acquired(
    tables: Database, database: TestDatabase
) -> None:
    first, second = (ReadingLeaseHolder(tables, name, 10) for name in ("a:8000", "b:8000"))
    assert await first.renew()
    await _set_lease(database, "a:8000", timedelta(hours=1))
    assert await second.renew()


@asynccontextmanager
async def _counting_network() -> AsyncIterator[tuple[str, list[str]]]:
    """Run a network that refuses every call; yield its address and the list of called paths."""
    called: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.json_response({"error": {"error_code": 10, "error_msg": "Internal server error"}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", called
    finally:
        await runner.cleanup()


async def test_second_worker_makes_no_call_until_the_first_stops(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A long lease, so that it does not expire during a slow start or a stall of the first worker.
    monkeypatch.setattr("services.ingest.worker.LEASE_SECONDS", 600.0)
    page = vk.page("two_workers")
    await _set_lease(database, f"{gethostname()}:9000", timedelta(minutes=10))
    async with _counting_network() as (url, called):
        other = KEYS | FAST | {"port": "9001", "vk_api_url": url}
        async with service_under_test("ingest", database, keys_dir, process="worker", **other):
            async with connected(database, keys_dir, vk_api_url=vk.url, port="9000") as system:
                await system.connect_page("vk", vk, page)
                for number in range(3):
                    written = vk.citizen(page, f"Кто читает? {number}")
                    await eventually(partial(system.stored, f"-{page}_{written['id']}"), "the citizen's message")
                assert called == []
            await eventually_true(lambda: bool(called), "a call of the second worker")
