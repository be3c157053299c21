"""Calls of a token are spaced over all processes; a lower bound of the time is all that is measured."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.ingest.schemas.tokens import NetworkTokenIn
from services.ingest.tokens.call_pacing import CallPacer
from services.ingest.tokens.token_admin import add_token
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.support.eventually import HANG_SECONDS
from tests.support.service_under_test import service_under_test


@pytest.fixture
async def tables(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Database]:
    """Ingest's connection pool."""
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest:
        yield ingest.service.database


async def token(tables: Database, name: str = "one") -> UUID:
    """Add a service token of VK and return its id."""
    async with tables.write() as session:
        given = NetworkTokenIn.model_validate({"network": "vk", "kind": "service", "token": name})
        row, _ = await add_token(session, given, "test")
        return row.id


async def seconds_of(pacers: list[CallPacer], token_id: UUID, calls: int, per_second: float) -> float:
    """Return how long it takes until each process has made so many calls at once."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    waits = [one.wait_for_turn(token_id, per_second) for one in pacers for _ in range(calls)]
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*waits)
    return loop.time() - begun


async def test_processes_share_the_rate_of_a_token(tables: Database) -> None:
    pacers = [CallPacer(tables) for _ in range(3)]
    # Twelve calls at twenty per second have eleven pauses; with a rate of its own each process would need three.
    assert await seconds_of(pacers, await token(tables), 4, 20) >= 11 / 20


async def test_no_token_waits_for_another(tables: Database) -> None:
    pacer = CallPacer(tables)
    ids = [await token(tables, f"token {number}") for number in range(5)]
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*(pacer.wait_for_turn(one, 0.001) for one in ids))


async def test_cancelled_calls_leave_no_turns_for_a_burst(tables: Database) -> None:
    pacer, token_id = CallPacer(tables), await token(tables)
    waiting = [asyncio.create_task(pacer.wait_for_turn(token_id, 20)) for _ in range(6)]
    await waiting[0]
    for task in waiting[1:]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(0.5)  # longer than the turns that were reserved for the cancelled calls
    assert await seconds_of([pacer], token_id, 4, 20) >= 3 / 20


async def test_calls_are_spaced_where_the_database_refuses(tables: Database) -> None:
    # There is no such token, so the database stores no turn.
    assert await seconds_of([CallPacer(tables)], uuid4(), 4, 20) >= 3 / 20


async def test_turn_of_a_clock_that_was_set_back_is_ignored(tables: Database, database: TestDatabase) -> None:
    pacer, token_id = CallPacer(tables), await token(tables)
    await seconds_of([pacer], token_id, 1, 20)
    raw_connection: asyncpg.Connection = await database.connect()
    await raw_connection.execute("UPDATE call_turns SET next_at = next_at + interval '1 hour'")
    await raw_connection.close()
    await seconds_of([pacer], token_id, 1, 20)  # fails after HANG_SECONDS
