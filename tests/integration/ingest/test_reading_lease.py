"""One of several workers reads the networks; another one goes on when it stops, is killed, or loses its claim."""

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


async def test_one_worker_reads_until_its_lease_expires(tables: Database, database: TestDatabase) -> None:
    first, second = (ReadingLeaseHolder(tables, name, 3_600) for name in ("a:8000", "b:8000"))
    assert [await first.renew(), await second.renew(), await first.renew()] == [True, False, True]
    await _set_lease(database, "a:8000", -timedelta(seconds=1))
    assert [await second.renew(), await first.renew()] == [True, False]


async def test_worker_that_stops_is_replaced_at_once(tables: Database) -> None:
    first, second = (ReadingLeaseHolder(tables, name, 3_600) for name in ("a:8000", "b:8000"))
    assert await first.renew()
    await second.release()  # it has none
    assert not await second.renew()
    await first.release()
    assert await second.renew()


async def test_worker_that_was_killed_and_started_again_goes_on(tables: Database) -> None:
    assert await ReadingLeaseHolder(tables, "a:8000", 3_600).renew()
    assert await ReadingLeaseHolder(tables, "a:8000", 3_600).renew()


async def test_lease_of_a_clock_that_was_set_back_is_taken(tables: Database, database: TestDatabase) -> None:
    first, second = (ReadingLeaseHolder(tables, name, 10) for name in ("a:8000", "b:8000"))
    assert await first.renew()
    await _set_lease(database, "a:8000", timedelta(hours=1))
    assert await second.renew()


@asynccontextmanager
async def _counting_network() -> AsyncIterator[tuple[str, list[str]]]:
    """A network that answers nothing useful and notes which methods are called."""
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


async def test_second_worker_calls_nothing_until_the_first_one_stops(
    vk: Emulator, database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither a slow start nor a stall of the first worker hands the lease over.
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
