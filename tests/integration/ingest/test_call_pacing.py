"""Calls with one token are spaced over all processes; tests measure only the minimum time."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import event as engine_event
from sqlalchemy import select

from services.ingest.tokens import call_pacing
from services.ingest.tokens.call_pacing import CallPacer
from shared.database.sessions import Database
from shared.tables.ingest import CallTurn
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import add_service_token
from tests.support.eventually import HANG_SECONDS

CALLS_PER_SECOND = 20


async def seconds_of(pacers: list[CallPacer], token_id: UUID, calls: int) -> float:
    """Let each process request this number of turns at once; return the seconds until all have passed."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    waits = [one.wait_for_turn(token_id, CALLS_PER_SECOND) for one in pacers for _ in range(calls)]
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*waits)
    return loop.time() - begun


async def test_processes_share_the_rate_of_a_token(tables: Database) -> None:
    pacers = [CallPacer(tables) for _ in range(3)]
    # Twelve calls have eleven pauses, which a slow reservation shortens; processes with separate rates would have
    # three.
    assert await seconds_of(pacers, await add_service_token(tables), 4) >= 8 / CALLS_PER_SECOND


async def test_calls_with_different_tokens_do_not_wait_for_each_other(tables: Database) -> None:
    pacer = CallPacer(tables)
    ids = [await add_service_token(tables, f"token {number}") for number in range(5)]
    statements: list[str] = []
    engine_event.listen(
        tables.engine.sync_engine, "before_cursor_execute", lambda _, __, text, *___: statements.append(text)
    )
    # A token that was deleted does not disturb the others.
    async with asyncio.timeout(HANG_SECONDS):
        await asyncio.gather(*(pacer.wait_for_turn(one, 0.001) for one in (uuid4(), *ids)))
    assert len(statements) == 1
    async with tables.read() as session:
        assert set(await session.scalars(select(CallTurn.token_id))) == set(ids)


async def test_cancelled_calls_leave_no_turns_for_a_burst(tables: Database) -> None:
    pacer, token_id = CallPacer(tables), await add_service_token(tables)
    waiting = [asyncio.create_task(pacer.wait_for_turn(token_id, CALLS_PER_SECOND)) for _ in range(6)]
    await asyncio.gather(*waiting[:2])  # the second call has reserved turns for all waiting calls
    for task in waiting[2:]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(0.5)  # longer than the turns that were reserved for the cancelled calls
    assert await seconds_of([pacer], token_id, 4) >= 2 / CALLS_PER_SECOND


async def test_calls_are_spaced_although_the_database_rejects_the_turn(tables: Database) -> None:
    # The token does not exist, so the database rejects the turn.
    assert await seconds_of([CallPacer(tables)], uuid4(), 4) >= 2 / CALLS_PER_SECOND


@pytest.mark.parametrize(("pause", "asks"), [(3_600.0, False), (0.0, True)])
async def test_hanging_database_does_not_delay_calls_and_is_used_again_later(
    tables: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, pause: float, *, asks: bool
) -> None:
    monkeypatch.setattr(call_pacing, "RESERVE_SECONDS", 0.1)
    monkeypatch.setattr(call_pacing, "LOCAL_SECONDS", pause)
    pacer, token_id = CallPacer(tables), await add_service_token(tables)
    await seconds_of([pacer], token_id, 1)
    raw_connection: asyncpg.Connection = await database.connect()
    async with raw_connection.transaction():
        reserved = await raw_connection.fetchval("SELECT next_at FROM call_turns FOR UPDATE")
        async with asyncio.timeout(20):  # less than the 30 s timeout of the connection
            assert await seconds_of([pacer], token_id, 4) >= 2 / CALLS_PER_SECOND
    monkeypatch.setattr(call_pacing, "RESERVE_SECONDS", HANG_SECONDS)
    await seconds_of([pacer], token_id, 1)
    assert (await raw_connection.fetchval("SELECT next_at FROM call_turns") != reserved) == asks
    await raw_connection.close()


async def test_turn_in_the_far_future_after_a_clock_was_set_back_is_ignored(
    tables: Database, database: TestDatabase
) -> None:
    pacer, token_id = CallPacer(tables), await add_service_token(tables)
    await seconds_of([pacer], token_id, 1)
    raw_connection: asyncpg.Connection = await database.connect()
    await raw_connection.execute("UPDATE call_turns SET next_at = next_at + interval '1 hour'")
    await raw_connection.close()
    await seconds_of([pacer], token_id, 1)  # fails after HANG_SECONDS if it waits for that turn
