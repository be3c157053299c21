"""Purged tables stay below their size limits over 65 weeks at a region's load, divided by `TABLE_SIZES_SCALE`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from shared import clock
from shared.database.purge import RetentionSettings, purge_tables
from shared.database.sessions import Database
from tests.conftest import MEMORY, OPTIONS
from tests.integration.data_growth.test_purge import rules_of
from tests.support.large_size import TABLE_SIZES_SCALE

pytestmark = pytest.mark.long

WEEKS = 65
PAGES = 2_000 // TABLE_SIZES_SCALE
# A region's posts and comments per day, and the appeals that they open.
MESSAGES, APPEALS = 3_160 // TABLE_SIZES_SCALE, 160 // TABLE_SIZES_SCALE
# Per day: each person who works on an appeal reads it; each message in a list counts as a separate read.
READS = 4_000 // TABLE_SIZES_SCALE
DELETED, QUARANTINED, EDITED, ALERTS = (count // TABLE_SIZES_SCALE for count in (52, 32, 100, 12))


@dataclass(frozen=True)
class SizeLimit:
    """New rows per day at the scaled load, the days they are kept, and the maximum size at the full load."""

    per_day: int
    days: int
    megabytes: int

    @property
    def rows(self) -> int:
        """Return the maximum number of rows: the retention period plus the week since the last purge."""
        return self.per_day * (self.days + 8)


RETENTION = RetentionSettings()
SIZE_LIMITS = {
    "processed_push_events": SizeLimit(MESSAGES, 3, 20),
    "pending_deletions": SizeLimit(DELETED, 30, 2),
    "quarantine": SizeLimit(QUARANTINED, RETENTION.quarantine_days, 10),
    "message_versions": SizeLimit(EDITED, RETENTION.message_versions_days, 60),
    "ingest_jobs.pgqueuer_log": SizeLimit(APPEALS * 21, RETENTION.job_log_days, 60),
    "ingest_jobs.pgqueuer_statistics": SizeLimit(APPEALS * 8, RETENTION.job_log_days, 30),
    "appeals_jobs.pgqueuer_log": SizeLimit(APPEALS * 6, RETENTION.job_log_days, 25),
    "webhook_deliveries": SizeLimit(APPEALS * 16, RETENTION.deliveries_days + 2, 120),
    "webhook_attempts": SizeLimit(APPEALS * 16, RETENTION.delivery_attempts_days, 80),
    "events": SizeLimit(MESSAGES + APPEALS * 8, RETENTION.events_days, 1_200),
    "page_checks": SizeLimit(PAGES, RETENTION.page_checks_days, 400),
    "personal_data_reads": SizeLimit(READS, RETENTION.personal_data_reads_days, 1_200),
    "partner_events": SizeLimit(APPEALS * 3, RETENTION.partner_events_days, 15),
    "alerts": SizeLimit(ALERTS, RETENTION.seen_alerts_days, 4),
}

# Inserts the rows of one week from `since` on, after `before` events. Two systems receive the events of appeals;
# one delivery in fifty fails. The jobs publish replies.
WEEK = f"""
CREATE FUNCTION pg_temp.week(since timestamptz, before bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO processed_push_events (page_id, event_id, created_at)
        SELECT md5((n % {PAGES})::text)::uuid, before + n, since + n * interval '7 days' / ({MESSAGES} * 7)
        FROM generate_series(1, {MESSAGES} * 7) n;
    INSERT INTO pending_deletions (network, kind, external_id, page_id, created_at)
        SELECT 'vk', 'comment', before + n, gen_random_uuid(), since + n * interval '7 days' / ({DELETED} * 7)
        FROM generate_series(1, {DELETED * 7}) n;
    INSERT INTO quarantine (id, network, source_kind, reason, raw, created_at)
        SELECT gen_random_uuid(), 'vk', 'callback', 'no parser', repeat(md5(n::text), 20),
            since + n * interval '7 days' / ({QUARANTINED} * 7)
        FROM generate_series(1, {QUARANTINED * 7}) n;
    INSERT INTO message_versions (message_id, version, text, attachments, raw, replaced_at)
        SELECT gen_random_uuid(), 1, repeat(md5(n::text), 8), '[]', to_json(repeat(md5(n::text), 16)),
            since + n * interval '7 days' / ({EDITED} * 7)
        FROM generate_series(1, {EDITED * 7}) n;
    INSERT INTO ingest_jobs.pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated)
        SELECT before + n / 21, 'picked', 0, 'publish', since + n * interval '7 days' / ({APPEALS} * 21 * 7), true
        FROM generate_series(1, {APPEALS} * 21 * 7) n;
    INSERT INTO ingest_jobs.pgqueuer_statistics (count, status, priority, entrypoint, created)
        SELECT 2, 'picked', 0, 'publish', since + n * interval '7 days' / ({APPEALS} * 8 * 7)
        FROM generate_series(1, {APPEALS} * 8 * 7) n;
    INSERT INTO appeals_jobs.pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated)
        SELECT before + n / 6, 'picked', 0, 'request_publication',
            since + n * interval '7 days' / ({APPEALS} * 6 * 7), true
        FROM generate_series(1, {APPEALS} * 6 * 7) n;
    INSERT INTO events (id, position, type, subject_id, actor, occurred_at, created_at, data)
        SELECT gen_random_uuid(), before + n,
            CASE WHEN n % 111 < 32 THEN 'appeal.moved' ELSE 'message.received' END, gen_random_uuid(), 'appeals',
            at, at, jsonb_build_object('number', n, 'text', repeat(md5(n::text), 6))
        FROM (SELECT n, since + n * interval '7 days' / {(MESSAGES + APPEALS * 8) * 7} AS at
            FROM generate_series(1, {(MESSAGES + APPEALS * 8) * 7}) n) made;
    INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
            next_attempt_at, last_attempt_at, created_at)
        SELECT gen_random_uuid(), md5(system::text)::uuid, id, type, data,
            CASE WHEN position % 50 = 0 THEN 'failed' ELSE 'delivered' END, 1, created_at, created_at, created_at
        FROM events CROSS JOIN generate_series(1, 2) system WHERE position > before AND type = 'appeal.moved';
    INSERT INTO webhook_attempts (delivery_id, id, number, started_at, duration_ms, response_status, response_head)
        SELECT id, id, 1, created_at, 80, 200, repeat(md5(id::text), 6)
        FROM webhook_deliveries WHERE created_at > since;
    INSERT INTO page_checks (id, page_id, day, checked_at, state, snapshot, changes, calls)
        SELECT gen_random_uuid(), md5(page::text)::uuid, since::date + day, since, 'ok',
            jsonb_build_object('followers', page), '[]', 1
        FROM generate_series(1, {PAGES}) page, generate_series(0, 6) day;
    INSERT INTO personal_data_reads (id, read_at, service, actor, role, organisation_id, action, subject_kind,
            subject_ids, subject_count)
        SELECT gen_random_uuid(), since + n * interval '7 days' / ({READS} * 7), 'appeals',
            md5((n % 500)::text)::uuid, 'executor', md5((n % 500)::text)::uuid, 'get_appeal', 'appeal',
            ARRAY[gen_random_uuid()], 1
        FROM generate_series(1, {READS * 7}) n;
    INSERT INTO partner_events (partner_id, webhook_id, type, fingerprint, appeal_id, opened, received_at)
        SELECT md5('partner')::uuid, 'evt_' || before + n, 'appeal.status', repeat(md5(n::text), 2),
            gen_random_uuid(), false, since + n * interval '7 days' / ({APPEALS} * 3 * 7)
        FROM generate_series(1, {APPEALS * 3 * 7}) n;
    INSERT INTO alerts (id, kind, appeal_id, why, seen_at, created_at)
        SELECT gen_random_uuid(), 'urgent', gen_random_uuid(), 'слова об опасности', since,
            since + n * interval '7 days' / ({ALERTS} * 7)
        FROM generate_series(1, {ALERTS * 7}) n;
    INSERT INTO webhooks_consumer_offsets VALUES ('webhooks', before + {(MESSAGES + APPEALS * 8) * 7})
        ON CONFLICT (consumer) DO UPDATE SET position = excluded.position;
    UPDATE appeals_consumer_offsets SET position = before + {(MESSAGES + APPEALS * 8) * 7};
END $$
"""


async def test_purged_tables_stay_below_their_size_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MEMORY if MEMORY.is_dir() else None
    with temporary_server((*OPTIONS, "max_wal_size=2GB", "shared_buffers=512MB"), memory) as admin:
        await migrate(admin)
        raw_connection = await asyncpg.connect(bootstrap.with_database(admin, bootstrap.DATABASE))
        await raw_connection.execute("SET session_replication_role = replica")
        await raw_connection.execute(WEEK)
        pools = {
            service: Database(bootstrap.with_login(admin, service, TEST_PASSWORD), 1, name="purge")
            for service in ("ingest", "appeals", "webhooks", "registry")
        }
        start = datetime.now(UTC) - timedelta(weeks=WEEKS)
        for week in range(WEEKS):
            since, end = start + timedelta(weeks=week), start + timedelta(weeks=week + 1)
            await raw_connection.execute(
                "SELECT pg_temp.week($1, $2)", since, week * (MESSAGES + APPEALS * 8) * 7, timeout=300
            )
            monkeypatch.setattr(clock, "now", lambda end=end: end)
            for service, pool in pools.items():
                await purge_tables(pool, rules_of(service, RETENTION))
            # Autovacuum would do this later; without it the space of deleted rows is not reused.
            for table in SIZE_LIMITS:
                await raw_connection.execute(f"VACUUM {table}", timeout=300)
            if week % 5 == 4:
                assert await _tables_over_limit(raw_connection) == {}, f"week {week}"
        # The purge did not delete too much: the newest rows are kept.
        assert await raw_connection.fetchval("SELECT count(*) FROM events") > RETENTION.events_days * MESSAGES
        assert await raw_connection.fetchval(
            "SELECT max(created_at) FROM processed_push_events"
        ) > end - timedelta(days=1)
        for pool in pools.values():
            await pool.close()
        await raw_connection.close()


async def _tables_over_limit(raw_connection: asyncpg.Connection) -> dict[str, tuple[int, float]]:
    found = {}
    for table, limit in SIZE_LIMITS.items():
        rows = await raw_connection.fetchval(f"SELECT count(*) FROM {table}")
        megabytes = await raw_connection.fetchval("SELECT pg_total_relation_size($1::text::regclass) / 1e6", table)
        if rows > limit.rows or megabytes * TABLE_SIZES_SCALE > limit.megabytes:
            found[table] = (rows, float(megabytes))
    return found
