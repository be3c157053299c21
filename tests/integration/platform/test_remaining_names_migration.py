"""Migration 0030 keeps the offsets of consumers, dead-lettered events, failed sign-ins and limits of tokens."""

import json

import asyncpg
import pytest

from tests.integration.platform.upgrades import downgrade, upgrade

pytestmark = pytest.mark.long  # upgrades and downgrades a database, so it is slow

FORMER = (
    "INSERT INTO appeals_cursors VALUES ('appeals', 7), ('gathering', 5)",
    "INSERT INTO webhooks_cursors VALUES ('webhooks-fanout', 6)",
    "INSERT INTO ingest_cursors VALUES ('one', 4)",
    "INSERT INTO sign_in_failures VALUES ('d', 5, now(), '2026-01-01T00:00:00Z')",
    """INSERT INTO network_tokens (id, network, kind, digest, secret, state, method_limits, created_at, updated_at)
       VALUES (gen_random_uuid(), 'vk', 'user', 'd', '', 'healthy', '{"wall.get": "x"}', now(), now())""",
    """INSERT INTO appeals_jobs.pgqueuer (priority, queue_manager_id, created, updated, heartbeat, execute_after,
       status, entrypoint, payload)
       SELECT 0, NULL, now(), now(), now(), now(), 'failed', name, '{}'::bytea
       FROM unnest(ARRAY['event:gathering', 'event:appeals']) name""",
)
OFFSETS = """SELECT 'appeals', consumer, position FROM appeals_{0} UNION ALL
    SELECT 'webhooks', consumer, position FROM webhooks_{0} UNION ALL
    SELECT 'ingest', consumer, position FROM ingest_{0} ORDER BY 3"""
JOBS = "SELECT array_agg(entrypoint ORDER BY entrypoint) FROM appeals_jobs.pgqueuer"


async def test_offsets_and_dead_letters_are_readable_by_their_new_names(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0029")
    connection = await asyncpg.connect(admin)
    for statement in FORMER:
        await connection.execute(statement)
    await upgrade(monkeypatch, owner, "0030")

    offsets = [tuple(row) for row in await connection.fetch(OFFSETS.format("consumer_offsets"))]
    assert offsets == [
        ("ingest", "one", 4),
        ("appeals", "clustering", 5),
        ("webhooks", "webhooks-fanout", 6),
        ("appeals", "appeals", 7),
    ]
    throttled = "SELECT extract(year FROM throttled_until)::int FROM sign_in_failures"
    assert await connection.fetchval(throttled) == 2026
    limited = await connection.fetchval("SELECT limited_methods FROM network_tokens")
    assert json.loads(limited) == {"wall.get": "x"}
    assert await connection.fetchval(JOBS) == ["event:appeals", "event:clustering"]
    # A renamed table keeps its grants.
    for service in ("ingest", "appeals", "webhooks"):
        granted = "SELECT has_table_privilege($1, $2, 'SELECT, INSERT, UPDATE')"
        table = f"{service}_consumer_offsets"
        assert await connection.fetchval(granted, f"gospablik_{service}", table), table
    names = "SELECT count(*) FROM pg_class WHERE relname ~ '.+_cursors$' AND relname <> 'pg_cursors'"
    assert await connection.fetchval(names) == 0

    await downgrade("0029")
    former = [tuple(row)[1:] for row in await connection.fetch(OFFSETS.format("cursors"))]
    assert former == [("one", 4), ("gathering", 5), ("webhooks-fanout", 6), ("appeals", 7)]
    assert await connection.fetchval(JOBS) == ["event:appeals", "event:gathering"]
    await connection.close()
