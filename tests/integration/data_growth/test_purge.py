"""Expired rows are purged, and rows that are still needed are kept."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from services.appeals import retention as appeals_retention
from services.ingest import retention as ingest_retention
from services.registry import retention as registry_retention
from services.webhooks import retention as webhooks_retention
from shared.database.purge import PurgeRule, RetentionSettings, purge_tables
from shared.database.sessions import Database
from shared.jobs import Jobs, ScheduleHandler
from shared.settings import ServiceName
from tests.conftest import TestDatabase
from tests.support.eventually import eventually
from tests.support.service_under_test import service_under_test

Purge = Callable[..., Awaitable[None]]


def rules_of(service: str, retention: RetentionSettings) -> list[PurgeRule]:
    """Return the purge rules of a service's schedule."""
    of_service: dict[str, Callable[[RetentionSettings], Any]] = {
        "appeals": appeals_retention.purge_rules,
        "ingest": ingest_retention.rules,
        "registry": registry_retention.purge_rules,
        "webhooks": webhooks_retention.purge_rules,
    }
    log = [] if service == "registry" else Jobs(service).purge_rules(retention)
    return [*of_service[service](retention), *log]


@pytest.fixture
async def raw_connection(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection that does not check foreign keys."""
    connection = await database.connect()
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


@pytest.fixture
def purged(database: TestDatabase) -> Purge:
    """A function that purges a service's tables as its role, in small batches."""

    async def run(service: str) -> None:
        pool = Database(database.url(service), 1, name="purge")
        try:
            await purge_tables(pool, rules_of(service, RetentionSettings()), batch=3)
        finally:
            await pool.close()

    return run


async def test_expired_rows_of_ingest_are_purged(raw_connection: asyncpg.Connection, purged: Purge) -> None:
    await raw_connection.execute("""
        INSERT INTO quarantine (id, network, source_kind, reason, raw, created_at)
            SELECT gen_random_uuid(), 'vk', 'poll', age::text, '{}', now() - age * interval '1 day'
            FROM generate_series(86, 95) age;
        INSERT INTO processed_push_events (page_id, event_id, created_at)
            SELECT gen_random_uuid(), age::text, now() - age * interval '1 day' FROM generate_series(0, 9) age;
        INSERT INTO pending_deletions (network, kind, external_id, page_id, created_at)
            SELECT 'vk', 'comment', age::text, gen_random_uuid(), now() - age * interval '1 day'
            FROM generate_series(26, 35) age;
        INSERT INTO message_versions (message_id, version, text, attachments, raw, replaced_at)
            SELECT gen_random_uuid(), age, '', '[]', '{}', now() - age * interval '1 day'
            FROM generate_series(361, 370) age;
    """)
    await purged("ingest")
    # A row inserted exactly at the age limit is older when the purge runs, so it is deleted.
    assert await raw_connection.fetchval("SELECT max(reason::int) FROM quarantine") == 89
    assert await raw_connection.fetchval("SELECT max(event_id::int) FROM processed_push_events") == 2
    assert await raw_connection.fetchval("SELECT max(external_id::int) FROM pending_deletions") == 29
    assert await raw_connection.fetchval("SELECT max(version) FROM message_versions") == 364


async def test_message_versions_are_kept_while_the_appeal_is_open(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        CREATE TEMP TABLE made AS SELECT gen_random_uuid() AS message_id, gen_random_uuid() AS appeal_id, status
            FROM unnest(ARRAY['interim', 'closed']) status;
        INSERT INTO appeals (id, status, urgency, text, version, written_at, opened_at, transfers, returns, route,
                created_at, updated_at)
            SELECT appeal_id, status, 'normal', '', 1, now(), now(), 0, 0, '{}', now(), now() FROM made;
        INSERT INTO appeal_messages SELECT message_id, appeal_id, now() FROM made;
        INSERT INTO message_versions (message_id, version, text, attachments, raw, replaced_at)
            SELECT message_id, 1, status, '[]', '{}', now() - interval '3 years' FROM made;
    """)
    await purged("ingest")
    assert await raw_connection.fetchval("SELECT array_agg(text) FROM message_versions") == ["interim"]


async def test_job_log_is_purged_except_for_dead_letters(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        INSERT INTO ingest_jobs.pgqueuer (id, priority, status, entrypoint) OVERRIDING SYSTEM VALUE
            VALUES (7, 0, 'failed', 'publish');
        INSERT INTO ingest_jobs.pgqueuer_log (job_id, status, priority, entrypoint, created)
            SELECT job, 'picked', 0, 'publish', now() - age * interval '1 day'
            FROM unnest(ARRAY[7, 8]) job, generate_series(26, 35) age;
        INSERT INTO ingest_jobs.pgqueuer_statistics (count, priority, status, entrypoint, created)
            SELECT 1, 0, 'picked', 'publish', now() - age * interval '1 day' FROM generate_series(26, 35) age;
    """)
    await purged("ingest")
    rows = await raw_connection.fetch(
        "SELECT job_id, count(*) AS n FROM ingest_jobs.pgqueuer_log GROUP BY 1 ORDER BY 1"
    )
    assert [(row["job_id"], row["n"]) for row in rows] == [(7, 10), (8, 4)]
    assert await raw_connection.fetchval("SELECT count(*) FROM ingest_jobs.pgqueuer_statistics") == 4


async def test_attempts_are_purged_before_their_failed_delivery(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
                next_attempt_at, last_attempt_at, created_at)
            SELECT md5(age::text)::uuid, gen_random_uuid(), gen_random_uuid(), '', '{}', 'failed', age, now(),
                now() - age * interval '1 day', now() - age * interval '1 day'
            FROM unnest(ARRAY[28, 31, 91]) age;
        INSERT INTO webhook_attempts (delivery_id, id, number, started_at, duration_ms)
            SELECT id, id, attempts, last_attempt_at, 1 FROM webhook_deliveries;
        UPDATE webhook_attempts SET started_at = now() WHERE number = 91;
        SET session_replication_role = origin;
    """)
    await purged("webhooks")
    kept = await raw_connection.fetchval("SELECT array_agg(attempts ORDER BY attempts) FROM webhook_deliveries")
    assert kept == [28, 31]
    attempts = await raw_connection.fetchval("SELECT array_agg(number ORDER BY number) FROM webhook_attempts")
    assert attempts == [28], "an attempt does not outlive its delivery"


async def test_pending_deliveries_are_kept_and_ended_ones_are_purged_by_age(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
                next_attempt_at, last_attempt_at, created_at)
            SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), status, '{}', status, age, now(),
                CASE WHEN age = 99 THEN now() END, now() - age * interval '1 day'
            FROM unnest(ARRAY['pending', 'delivered', 'failed']) status, unnest(ARRAY[28, 31, 88, 91, 99]) age
    """)
    await purged("webhooks")
    kept = await raw_connection.fetch(
        "SELECT status, array_agg(attempts ORDER BY attempts) AS ages FROM webhook_deliveries GROUP BY 1"
    )
    assert {row["status"]: row["ages"] for row in kept} == {
        "pending": [28, 31, 88, 91, 99],
        "delivered": [28],
        "failed": [28, 31, 88, 99],
    }, "failed deliveries are kept from their last attempt on"


_EVENTS = """
    INSERT INTO events (id, position, type, subject_id, actor, occurred_at, created_at, data)
        SELECT gen_random_uuid(), n, 'appeal.opened', gen_random_uuid(), 'appeals', now(),
            now() - (410 - n) * interval '1 day', '{}'
        FROM generate_series(1, 20) n;
    INSERT INTO webhooks_consumer_offsets VALUES ('webhooks', 20);
    INSERT INTO appeals_consumer_offsets VALUES ('appeals', 20);
"""


async def _first(raw_connection: asyncpg.Connection) -> int:
    rows = await raw_connection.fetchrow(
        "SELECT min(position), max(position), count(*) FROM events WHERE position IS NOT NULL"
    )
    assert rows is not None
    assert rows[1] - rows[0] + 1 == rows[2], "the feed must have no gap"
    return int(rows[0])


async def test_expired_events_are_purged_oldest_first(raw_connection: asyncpg.Connection, purged: Purge) -> None:
    await raw_connection.execute(_EVENTS)
    await purged("webhooks")
    assert await _first(raw_connection) == 11


@pytest.mark.parametrize(
    ("statement", "first", "blocked_by"),
    [
        ("UPDATE appeals_consumer_offsets SET position = 4", 5, "consumer"),
        (
            """INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
                   next_attempt_at, created_at)
               SELECT gen_random_uuid(), gen_random_uuid(), id, type, '{}', 'pending', 1, now(), now() FROM events
               WHERE position = 6""",
            6,
            "delivery",
        ),
        (
            """INSERT INTO appeals_jobs.pgqueuer (priority, status, entrypoint, payload)
               SELECT 0, 'failed', 'event:appeals', convert_to(json_build_object('event_id', id)::text, 'UTF8')
               FROM events WHERE position = 8""",
            8,
            "job",
        ),
    ],
    ids=["consumer", "delivery", "dead letter"],
)
async def test_event_that_is_still_needed_and_later_ones_are_kept(
    raw_connection: asyncpg.Connection, purged: Purge, statement: str, first: int, blocked_by: str
) -> None:
    await raw_connection.execute(_EVENTS)
    await raw_connection.execute(statement)
    await purged("webhooks")
    assert await _first(raw_connection) == first
    held = {
        holder: REGISTRY.get_sample_value("gospablik_event_purge_held_back", {"blocked_by": holder})
        for holder in ("consumer", "delivery", "job")
    }
    assert held == {holder: float(holder == blocked_by) for holder in held}


async def test_newest_event_is_kept_however_old_it_is(raw_connection: asyncpg.Connection, purged: Purge) -> None:
    await raw_connection.execute(_EVENTS)
    await raw_connection.execute("UPDATE events SET created_at = created_at - interval '1 year'")
    await purged("webhooks")
    assert await _first(raw_connection) == 20


async def test_seen_alert_is_purged_after_its_appeal_is_closed(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        CREATE TEMP TABLE made AS SELECT gen_random_uuid() AS id, status
            FROM unnest(ARRAY['assigned', 'closed', 'unseen']) status;
        INSERT INTO appeals (id, status, urgency, text, version, written_at, opened_at, transfers, returns, route,
                created_at, updated_at)
            SELECT id, replace(status, 'unseen', 'closed'), 'normal', '', 1, now(), now(), 0, 0, '{}', now(), now()
            FROM made;
        INSERT INTO alerts (id, kind, appeal_id, why, seen_at, created_at)
            SELECT gen_random_uuid(), 'urgent', id, status,
                CASE WHEN status <> 'unseen' THEN now() - interval '2 years' END, now() - interval '2 years'
            FROM made;
    """)
    await purged("appeals")
    assert await raw_connection.fetchval("SELECT array_agg(why ORDER BY why) FROM alerts") == [
        "assigned",
        "unseen",
    ]


async def test_last_check_of_a_page_is_kept(raw_connection: asyncpg.Connection, purged: Purge) -> None:
    await raw_connection.execute("""
        INSERT INTO page_checks (id, page_id, day, checked_at, state, snapshot, changes, calls)
            SELECT gen_random_uuid(), md5(page::text)::uuid, current_date - age, now(), page::text, '{}', '[]', age
            FROM (VALUES (1, 600), (1, 500), (2, 500), (2, 300)) AS checked (page, age);
    """)
    await purged("registry")
    kept = await raw_connection.fetch("SELECT state, calls AS age FROM page_checks ORDER BY 1")
    assert [(row["state"], row["age"]) for row in kept] == [("1", 500), ("2", 300)]


async def test_reads_of_personal_data_are_kept_for_the_retention_period(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        INSERT INTO personal_data_reads (id, read_at, service, actor, role, action, subject_kind, subject_ids,
                subject_count)
            SELECT gen_random_uuid(), now() - age * interval '1 day', 'appeals', age::text, 'executor',
                'get_appeal', 'appeal', '{}', 0
            FROM generate_series(396, 405) age
    """)
    await purged("registry")
    assert await raw_connection.fetchval("SELECT max(actor::int) FROM personal_data_reads") == 399


async def test_locked_row_is_not_purged(
    raw_connection: asyncpg.Connection, database: TestDatabase, purged: Purge
) -> None:
    await raw_connection.execute("""
        INSERT INTO quarantine (id, network, source_kind, reason, raw, created_at)
            SELECT gen_random_uuid(), 'vk', 'poll', n::text, '{}', now() - interval '1 year'
            FROM generate_series(1, 7) n
    """)
    other = await database.connect("ingest")
    async with other.transaction():
        await other.execute("SELECT FROM quarantine WHERE reason = '2' FOR UPDATE")
        await purged("ingest")
        assert await raw_connection.fetchval("SELECT array_agg(reason) FROM quarantine") == ["2"]
    await other.close()


@pytest.mark.parametrize("service", ["appeals", "ingest", "webhooks"])
async def test_schedule_of_the_service_purges_expired_rows(
    service: ServiceName, raw_connection: asyncpg.Connection, database: TestDatabase, keys_dir: Path
) -> None:
    await raw_connection.execute(f"""
        INSERT INTO {service}_jobs.pgqueuer_log (job_id, status, priority, entrypoint, created)
        VALUES (1, 'successful', 0, 'x', now() - interval '1 year')
    """)
    async with service_under_test(service, database, keys_dir, process="all") as running:
        assert running.service.jobs is not None
        _, purge_expired = running.service.jobs.schedules["purge"]
        await eventually(lambda: _purged(raw_connection, service, purge_expired))


async def _purged(raw_connection: asyncpg.Connection, service: str, purge_expired: ScheduleHandler) -> bool:
    # Purge again: a worker that has just started may not be connected yet.
    await purge_expired()
    return not await raw_connection.fetch(f"SELECT FROM {service}_jobs.pgqueuer_log WHERE entrypoint = 'x'")


async def test_service_with_a_too_short_retention_does_not_start(database: TestDatabase, keys_dir: Path) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 120"):
        async with service_under_test("webhooks", database, keys_dir, keep_events_days="30"):
            pass


async def test_complete_bulk_operations_are_purged_with_their_rows(
    raw_connection: asyncpg.Connection, purged: Purge
) -> None:
    await raw_connection.execute("""
        INSERT INTO bulk_operations (id, action, parameters, undoes_id, author, include_subordinates, total,
                created_at, completed_at)
            SELECT md5(age || action)::uuid, action, '{}',
                CASE action WHEN 'undo' THEN md5(age || 'close')::uuid END, age || action, false, 4,
                now() - age * interval '1 day', CASE WHEN action <> 'assign' THEN now() END
            FROM unnest(ARRAY['close', 'undo', 'assign']) action, unnest(ARRAY[399, 401]) age;
        INSERT INTO bulk_operation_rows (operation_id, appeal_id, outcome)
            SELECT id, gen_random_uuid(), 'done' FROM bulk_operations, generate_series(1, 4);
    """)
    await purged("appeals")
    await purged("appeals")  # the first run deletes the undo, the second the undone operation
    left = "SELECT array_agg(author ORDER BY author) FROM bulk_operations"
    assert await raw_connection.fetchval(left) == ["399assign", "399close", "399undo", "401assign"]
    assert await raw_connection.fetchval("SELECT count(*) FROM bulk_operation_rows") == 4 * 4


async def test_old_unread_marks_are_purged(raw_connection: asyncpg.Connection, purged: Purge) -> None:
    await raw_connection.execute("""
        INSERT INTO unread_appeals (person_id, appeal_id, reason, last_at)
            SELECT gen_random_uuid(), gen_random_uuid(), age::text, now() - age * interval '1 day'
            FROM generate_series(86, 95) age
    """)
    await purged("appeals")
    assert await raw_connection.fetchval("SELECT max(reason::int) FROM unread_appeals") == 89


async def test_old_events_of_partners_are_purged(raw_connection: asyncpg.Connection, purged: Purge) -> None:
    await raw_connection.execute("""
        INSERT INTO partner_events (partner_id, webhook_id, type, fingerprint, opened, received_at)
            SELECT gen_random_uuid(), age::text, 'appeal.status', '', false, now() - age * interval '1 day'
            FROM generate_series(26, 35) age
    """)
    await purged("appeals")
    assert await raw_connection.fetchval("SELECT max(webhook_id::int) FROM partner_events") == 29
