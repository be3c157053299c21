"""Daily limits per method and token: calls are reserved in advance, and those of the last day are counted."""

import asyncio
from datetime import timedelta
from unittest import mock
from uuid import UUID

import asyncpg
import pytest

from services.ingest.networks.port import TokenKind
from services.ingest.polling.call_budget import CallBudget
from services.ingest.settings import IngestSettings
from services.ingest.tokens.token_pool import DatabaseTokenPool
from shared import clock
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import add_service_token


def budget(tables: Database, limit: int, day: float = 86_400) -> CallBudget:
    """Return a new call budget, such as another process creates."""
    return CallBudget(tables, IngestSettings(vk_calls_per_day={"wall.get": limit}, call_budget_window_seconds=day))


async def taken(one: CallBudget, token_id: UUID, tries: int) -> int:
    """Try to reserve this number of calls; return how many are allowed."""
    return sum([await one.reserve_call(token_id, "vk", "wall.get") for _ in range(tries)])


async def test_daily_limit_holds_across_processes(tables: Database) -> None:
    token_id = await add_service_token(tables)
    processes = [budget(tables, 300) for _ in range(3)]
    allowed = await asyncio.gather(*(taken(one, token_id, 200) for one in processes))
    assert sum(allowed) == 300
    assert await taken(budget(tables, 300), token_id, 1) == 0


async def test_unlimited_method_is_not_counted(tables: Database) -> None:
    token_id = await add_service_token(tables)
    one = budget(tables, 5)
    for _ in range(20):
        assert await one.reserve_call(token_id, "vk", "groups.getById")
    assert one.calls_left(token_id, "vk", "groups.getById") is None
    assert one.calls_left(token_id, "vk", "wall.get") == 5


async def test_killed_process_counts_at_most_one_reserved_block_too_many(tables: Database) -> None:
    token_id = await add_service_token(tables)
    killed = budget(tables, 1_000)
    assert await taken(killed, token_id, 7) == 7
    after = budget(tables, 1_000)
    await after.refresh()
    left = after.calls_left(token_id, "vk", "wall.get")
    assert left is not None
    assert 1_000 - 7 - 25 <= left <= 1_000 - 7
    assert await taken(after, token_id, 1_000) == left


@pytest.mark.usefixtures("stopped_clock")
async def test_calls_older_than_a_day_do_not_count(tables: Database, database: TestDatabase) -> None:
    token_id = await add_service_token(tables)
    first = budget(tables, 10)
    assert await taken(first, token_id, 11) == 10
    assert first.calls_left(token_id, "vk", "wall.get") == 0
    raw_connection: asyncpg.Connection = await database.connect()
    await raw_connection.execute("UPDATE call_counts SET bucket = bucket - interval '23 hours'")
    assert await taken(budget(tables, 10), token_id, 1) == 0
    await raw_connection.execute("UPDATE call_counts SET bucket = bucket - interval '90 minutes'")
    second = budget(tables, 10)
    assert await taken(second, token_id, 11) == 10
    await second.delete_expired()
    assert await raw_connection.fetchval("SELECT count(*) FROM call_counts") == 1
    await raw_connection.close()


async def test_unused_reserved_calls_are_released_when_their_bucket_ends(tables: Database) -> None:
    token_id = await add_service_token(tables)
    one = budget(tables, 2_000, day=96.0)  # buckets of one second
    assert await taken(one, token_id, 1) == 1
    later = clock.now() + timedelta(seconds=2.1)
    with mock.patch("shared.clock.now", return_value=later):
        assert await taken(one, token_id, 1) == 1
    await one.refresh()
    left = one.calls_left(token_id, "vk", "wall.get")
    assert left is not None
    assert left >= 2_000 - 2 - 1


async def test_pool_skips_exhausted_token_and_reports_calls_left(tables: Database) -> None:
    spent, fresh = await add_service_token(tables, "spent"), await add_service_token(tables, "fresh")
    settings = IngestSettings(vk_calls_per_day={"wall.get": 4})
    accounts = DatabaseTokenPool(tables, settings)
    await accounts.refresh()
    assert accounts.daily_call_limit("vk", "wall.get") == 8
    assert accounts.calls_left("vk", "wall.get") == 8
    for _ in range(5):
        await accounts.budget.reserve_call(spent, "vk", "wall.get")
    assert accounts.calls_left("vk", "wall.get") == 4
    chosen = {accounts.select("vk", TokenKind.SERVICE, method="wall.get") for _ in range(4)}
    assert [one.id for one in chosen if one is not None] == [fresh]
    assert accounts.select("vk", TokenKind.SERVICE, method="wall.getById") is not None
    for _ in range(5):
        await accounts.budget.reserve_call(fresh, "vk", "wall.get")
    assert accounts.select("vk", TokenKind.SERVICE, method="wall.get") is None
    assert accounts.calls_left("vk", "wall.get") == 0
    assert accounts.daily_call_limit("vk", "wall.get") == 8, "the calls are available again the next day"


async def test_invalid_token_does_not_count_in_budget(tables: Database, database: TestDatabase) -> None:
    await add_service_token(tables, "dead")
    await add_service_token(tables, "alive")
    raw_connection: asyncpg.Connection = await database.connect()
    accounts = DatabaseTokenPool(tables, IngestSettings(vk_calls_per_day={"wall.get": 4}))
    await raw_connection.execute(
        "UPDATE network_tokens SET state = 'revoked', updated_at = now()"
        " WHERE id = (SELECT id FROM network_tokens LIMIT 1)"
    )
    await raw_connection.close()
    await accounts.refresh()
    assert accounts.daily_call_limit("vk", "wall.get") == 4
    assert accounts.calls_left("vk", "wall.get") == 4
