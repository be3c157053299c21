"""Reconciliation: gaps are found, stored and counted once despite interruptions."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.ingest.networks.calls import NoUsableToken
from services.ingest.sync.reconciliation_requests import create_reconciliations
from services.ingest.sync.reconciliation_runner import ReconciliationRunner
from shared import clock
from shared.tables.registry import Page
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.integration.ingest.memory_network import (
    SeededPages,
    age_first_read,
    comment,
    more_pages,
    running,
    seeded_pages,
)
from tests.support.eventually import eventually

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(f"GOSPABLIK_{name.upper()}", value)


@pytest.fixture
async def raw_connection(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    await connection.close()


def reconciler(here: SeededPages, **settings: Any) -> ReconciliationRunner:
    chosen = here.settings.model_copy(update=settings)
    return ReconciliationRunner(here.database, here.feed, {"vk": here.network}, chosen)


async def ask(here: SeededPages, since: datetime | None = None) -> UUID:
    async with here.database.write() as session:
        (row_id,) = await create_reconciliations(session, [Page.id == here.page.id], 2 * 86_400, since)
    return row_id


async def finished(raw_connection: asyncpg.Connection, row_id: UUID) -> asyncpg.Record:
    async def look() -> Any:
        return await raw_connection.fetchrow(
            "SELECT * FROM reconciliations WHERE id = $1 AND finished_at IS NOT NULL", row_id
        )

    found: asyncpg.Record = await eventually(look)
    return found


async def gap_events(raw_connection: asyncpg.Connection) -> list[int]:
    rows = await raw_connection.fetch(
        "SELECT data FROM events WHERE type = 'source.gap_found' ORDER BY created_at"
    )
    return [json.loads(row["data"])["gaps"] for row in rows]


async def test_missing_messages_are_counted_as_gaps(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        held = [comment(n, n * HOUR) for n in range(1, 9)]
        fresh = comment(20, timedelta(minutes=2))
        before_us = comment(21, 40 * HOUR)
        here.network.items = [fresh, *held, before_us]
        await here.push(*(one for n, one in enumerate(held) if n not in {2, 5}))
        await age_first_read(database, here.page.id, 30 * HOUR)
        row_id = await ask(here)
        async with running(reconciler(here)):
            row = await finished(raw_connection, row_id)
        assert (row["compared"], row["gaps"], row["within_grace"], row["error"]) == (10, 2, 1, None)
        assert await raw_connection.fetchval("SELECT count(*) FROM messages") == 10
        source = await raw_connection.fetchrow(
            "SELECT gaps, last_gap_at FROM sources WHERE kind = 'reconciliation'"
        )
        assert source["gaps"] == 2
        assert source["last_gap_at"] is not None
        assert await gap_events(raw_connection) == [2]


async def test_second_reconciliation_finds_no_gap(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * HOUR) for n in range(1, 4)]
        await here.push(*here.network.items[1:])
        await age_first_read(database, here.page.id, 30 * HOUR)
        first = await ask(here)
        async with running(reconciler(here)):
            assert (await finished(raw_connection, first))["gaps"] == 1
            second = await ask(here)
            row = await finished(raw_connection, second)
        assert (row["compared"], row["gaps"], row["within_grace"]) == (3, 0, 0)
        assert await raw_connection.fetchval("SELECT gaps FROM sources WHERE kind = 'reconciliation'") == 1
        assert await gap_events(raw_connection) == [1]


async def test_reconciliation_finds_edits_and_deletions(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        await here.push(*(comment(n, n * HOUR) for n in range(1, 4)))
        here.network.items = [
            comment(1, HOUR, text="Исправлено"),
            comment(2, 2 * HOUR),
            comment(3, 3 * HOUR, change="deleted"),
        ]
        row_id = await ask(here)
        async with running(reconciler(here)):
            row = await finished(raw_connection, row_id)
        assert (row["edited"], row["deleted"], row["gaps"]) == (1, 1, 0)
        assert await gap_events(raw_connection) == []


async def test_stopped_reconciliation_resumes_and_counts_once(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * HOUR) for n in range(1, 10)]
        await here.push(here.network.items[-1])
        await age_first_read(database, here.page.id, 30 * HOUR)
        row_id = await ask(here)
        here.network.stop_after = 1

        async def begun() -> Any:
            return await raw_connection.fetchval("SELECT compared > 0 FROM reconciliations WHERE id = $1", row_id)

        async with running(reconciler(here)):
            await eventually(begun)
        here.network.stop_after = None
        here.network.gate.set()
        async with running(reconciler(here)):
            row = await finished(raw_connection, row_id)
        assert (row["compared"], row["gaps"]) == (9, 8)
        assert [cursor for _, cursor in here.network.asked] == [{}, {"at": 3}]
        assert await gap_events(raw_connection) == [8]


async def test_reconciliation_of_a_closed_page_ends_without_its_cursor(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        row_id = await ask(here)
        # The cursor may have the id of the last conversation that was read.
        await raw_connection.execute('UPDATE reconciliations SET cursor = \'{"after": "chat:C1"}\'')
        await raw_connection.execute("UPDATE pages SET active = false")
        async with running(reconciler(here)):
            row = await finished(raw_connection, row_id)
        assert (row["error"], row["cursor"]) == ("the page is no longer active", "{}")


async def test_two_workers_count_each_gap_once(database: TestDatabase, raw_connection: asyncpg.Connection) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * HOUR) for n in range(1, 20)]
        await here.push(here.network.items[-1])
        await age_first_read(database, here.page.id, 30 * HOUR)
        row_id = await ask(here)
        async with running(reconciler(here)), running(reconciler(here)):
            row = await finished(raw_connection, row_id)
        assert (row["compared"], row["gaps"]) == (19, 18)
        assert await raw_connection.fetchval("SELECT gaps FROM sources WHERE kind = 'reconciliation'") == 18
        assert await gap_events(raw_connection) == [18]


async def test_step_that_cannot_be_counted_is_not_stored(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(n, n * HOUR) for n in range(1, 4)]
        row_id = await ask(here)
        here.network.gate.clear()
        async with running(reconciler(here)):

            async def asked() -> Any:
                return here.network.asked

            await eventually(asked)
            await raw_connection.execute("UPDATE reconciliations SET finished_at = now() WHERE id = $1", row_id)
            here.network.gate.set()
            second = await ask(here)
            row = await finished(raw_connection, second)
        assert row["compared"] == 3
        assert await raw_connection.fetchval("SELECT compared FROM reconciliations WHERE id = $1", row_id) == 0
        assert await raw_connection.fetchval("SELECT count(*) FROM messages") == 3


async def test_reconciliation_without_token_waits_and_resumes(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        here.network.items = [comment(1, HOUR)]
        here.network.errors = [NoUsableToken("no usable token for wall.get")]
        row_id = await ask(here)
        here.network.gate.clear()
        async with running(reconciler(here)):
            here.network.gate.set()

            async def waits() -> Any:
                return await raw_connection.fetchval("SELECT error FROM reconciliations WHERE id = $1", row_id)

            assert "no usable token" in await eventually(waits)
            row = await finished(raw_connection, row_id)
        assert (row["compared"], row["error"]) == (1, None)


async def test_page_with_invalid_token_is_delayed_and_scanned_later(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        await raw_connection.execute(
            """INSERT INTO network_tokens (id, network, kind, page_id, digest, secret, state, reason,
               limited_methods, created_at, updated_at)
               VALUES (gen_random_uuid(), 'vk', 'group', $1, 'd', '', 'healthy', NULL, '{}', now(), now())""",
            here.page.id,
        )
        here.network.items = [comment(n, n * HOUR) for n in range(1, 6)]
        here.network.stop_after = 1
        row_id = await ask(here)

        async def begun() -> Any:
            return await raw_connection.fetchval("SELECT compared = 3 FROM reconciliations WHERE id = $1", row_id)

        async def waits() -> Any:
            return await raw_connection.fetchval("SELECT error FROM reconciliations WHERE id = $1", row_id)

        async with running(reconciler(here)):
            await eventually(begun)
            await raw_connection.execute("UPDATE network_tokens SET state = 'revoked', reason = 'vk 5'")
            here.network.stop_after = None
            here.network.gate.set()
            assert await eventually(waits) == "the page's token is revoked: vk 5"
            asked = len(here.network.asked)
            for _ in range(2):  # each attempt finds the token revoked
                await raw_connection.execute("UPDATE reconciliations SET error = NULL")
                await eventually(waits, "another attempt")
            assert len(here.network.asked) == asked, "no call may be made with a revoked token"
            await raw_connection.execute("UPDATE network_tokens SET state = 'healthy', reason = NULL")
            row = await finished(raw_connection, row_id)
        assert here.network.asked[-1][1] == {}, "the scan must start from the beginning"
        assert (row["compared"], row["error"]) == (10, None)


async def test_unreachable_network_does_not_block_other_pages(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        await more_pages(database, here.page, network="ok", names="5")
        async with here.database.write() as session:
            await create_reconciliations(session, [], 0)
        async with running(reconciler(here, reconcile_concurrency=1)):

            async def one_is_done() -> Any:
                return await raw_connection.fetchval(
                    "SELECT count(*) FROM reconciliations WHERE finished_at IS NOT NULL"
                )

            await eventually(one_is_done)

            async def last_error() -> Any:
                return await raw_connection.fetchval("SELECT error FROM reconciliations WHERE finished_at IS NULL")

            assert await eventually(last_error) == "there is no adapter for the network «ok»"


async def test_every_page_is_reconciled_once_per_period(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        await more_pages(database, here.page, network="vk", names="102 103")
        await more_pages(database, here.page, network="vk", names="104", active=False)
        settings = {"reconcile_period_seconds": 3_600.0, "reconcile_grace_seconds": 0.0}
        work = reconciler(here, **settings)
        for _ in range(6):
            work._next_at = 0.0
            await work._list_pending()
        rows = await raw_connection.fetch("SELECT page_id, count(*) n FROM reconciliations GROUP BY page_id")
        assert [row["n"] for row in rows] == [1, 1, 1], "an inactive page must not be reconciled"
        await raw_connection.execute(
            "UPDATE reconciliations SET started_at = started_at - interval '2 h', finished_at = now()"
        )
        work._next_at = 0.0
        await work._list_pending()
        assert work._next_at - asyncio.get_running_loop().time() == pytest.approx(1_200, abs=60)
        assert await raw_connection.fetchval("SELECT count(*) FROM reconciliations") == 4, (
            "exactly one more page must be due"
        )


async def test_reconciliation_overlaps_the_last_one_by_two_days(
    database: TestDatabase, raw_connection: asyncpg.Connection
) -> None:
    async with seeded_pages(database) as here:
        await here.push(comment(1, HOUR))
        await age_first_read(database, here.page.id, 5 * HOUR)
        first, now = await ask(here), clock.now()
        since = await raw_connection.fetchval("SELECT since FROM reconciliations WHERE id = $1", first)
        assert abs(now - timedelta(days=2, hours=5) - since) < timedelta(minutes=1)
        await raw_connection.execute(
            "UPDATE reconciliations SET finished_at = now(), started_at = started_at - interval '3 d'"
        )
        second = await ask(here, since=now - HOUR)
        since = await raw_connection.fetchval("SELECT since FROM reconciliations WHERE id = $1", second)
        assert abs(now - timedelta(days=5) - since) < timedelta(minutes=1), "no window is left out"
        third = await ask(here, since=now - timedelta(days=90))
        since = await raw_connection.fetchval("SELECT since FROM reconciliations WHERE id = $1", third)
        assert abs(now - timedelta(days=90) - since) < timedelta(minutes=1)
