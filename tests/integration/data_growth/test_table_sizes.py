"""A region's year and a quarter at its real load: what is purged stays below its stated size."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from shared import clock
from shared.database.purge import Terms, purge
from shared.database.sessions import Database
from tests.conftest import MEMORY, OPTIONS
from tests.integration.data_growth.test_purge import rules_of

pytestmark = pytest.mark.long

WEEKS = 65
PAGES = 2_000
# A day of a region (design, real load): posts and comments, and how many of them open an appeal.
MESSAGES, APPEALS = 3_160, 160


@dataclass(frozen=True)
class Bound:
    """How many rows a day bring, for how many days they are kept, and how large the table may be."""

    a_day: int
    days: int
    megabytes: int

    @property
    def rows(self) -> int:
        """What a term and the week since the last purge bring at most, rounded up by a day."""
        return self.a_day * (self.days + 8)


TERMS = Terms()
BOUNDS = {
    "seen_events": Bound(MESSAGES, 3, 20),
    "tombstones": Bound(50, 30, 2),
    "set_aside": Bound(30, TERMS.set_aside_days, 10),
    "message_versions": Bound(100, TERMS.message_versions_days, 60),
    "ingest_jobs.pgqueuer_log": Bound(APPEALS * 21, TERMS.job_log_days, 60),
    "ingest_jobs.pgqueuer_statistics": Bound(APPEALS * 8, TERMS.job_log_days, 30),
    "appeals_jobs.pgqueuer_log": Bound(APPEALS * 6, TERMS.job_log_days, 25),
    "webhook_deliveries": Bound(APPEALS * 16, TERMS.deliveries_days + 2, 120),
    "events": Bound(MESSAGES + APPEALS * 8, TERMS.events_days, 1_200),
    "page_checks": Bound(PAGES, TERMS.page_checks_days, 400),
    "alerts": Bound(10, TERMS.seen_alerts_days, 4),
}

# One week from a moment on, and how many events were before it. Two systems want the appeals' events; one delivery
# in fifty is given up. Jobs are what an answer takes on its way out.
WEEK = f"""
CREATE FUNCTION pg_temp.week(since timestamptz, before bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen_events (page_id, event_id, created_at)
        SELECT md5((n % {PAGES})::text)::uuid, before + n, since + n * interval '7 days' / ({MESSAGES} * 7)
        FROM generate_series(1, {MESSAGES} * 7) n;
    INSERT INTO tombstones (network, kind, external_id, page_id, created_at)
        SELECT 'vk', 'comment', before + n, gen_random_uuid(), since + n * interval '28 minutes'
        FROM generate_series(1, 50 * 7) n;
    INSERT INTO set_aside (id, network, way_in, reason, raw, created_at)
        SELECT gen_random_uuid(), 'vk', 'callback', 'no parser', repeat(md5(n::text), 20),
            since + n * interval '48 minutes'
        FROM generate_series(1, 30 * 7) n;
    INSERT INTO message_versions (message_id, version, text, attachments, raw, replaced_at)
        SELECT gen_random_uuid(), 1, repeat(md5(n::text), 8), '[]', to_json(repeat(md5(n::text), 16)),
            since + n * interval '14 minutes'
        FROM generate_series(1, 100 * 7) n;
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
    INSERT INTO page_checks (id, page_id, day, checked_at, outcome, facts, changed, calls)
        SELECT gen_random_uuid(), md5(page::text)::uuid, since::date + day, since, 'ok',
            jsonb_build_object('followers', page), '[]', 1
        FROM generate_series(1, {PAGES}) page, generate_series(0, 6) day;
    INSERT INTO alerts (id, kind, appeal_id, why, seen_at, created_at)
        SELECT gen_random_uuid(), 'urgent', gen_random_uuid(), 'слова об опасности', since,
            since + n * interval '2 hours'
        FROM generate_series(1, 10 * 7) n;
    INSERT INTO webhooks_cursors VALUES ('webhooks', before + {(MESSAGES + APPEALS * 8) * 7})
        ON CONFLICT (consumer) DO UPDATE SET position = excluded.position;
END $$
"""


async def test_purged_tables_stay_below_their_stated_size_through_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MEMORY if MEMORY.is_dir() else None
    with temporary_server((*OPTIONS, "max_wal_size=2GB", "shared_buffers=512MB"), memory) as admin:
        await migrate(admin)
        eye = await asyncpg.connect(bootstrap.with_database(admin, bootstrap.DATABASE))
        await eye.execute("SET session_replication_role = replica")
        await eye.execute(WEEK)
        pools = {
            service: Database(bootstrap.with_login(admin, service, TEST_PASSWORD), 1, name="purge")
            for service in ("ingest", "appeals", "webhooks", "registry")
        }
        start = datetime.now(UTC) - timedelta(weeks=WEEKS)
        for week in range(WEEKS):
            since, end = start + timedelta(weeks=week), start + timedelta(weeks=week + 1)
            await eye.execute(
                "SELECT pg_temp.week($1, $2)", since, week * (MESSAGES + APPEALS * 8) * 7, timeout=300
            )
            monkeypatch.setattr(clock, "now", lambda end=end: end)
            for service, pool in pools.items():
                await purge(pool, rules_of(service, TERMS))
            # What the server does by itself, in its own time: space that is not freed is not used again.
            for table in BOUNDS:
                await eye.execute(f"VACUUM {table}", timeout=300)
            if week % 5 == 4:
                assert await _larger_than_stated(eye) == {}, f"week {week}"
        # What is older than its term is gone, and the newest rows are there.
        assert await eye.fetchval("SELECT count(*) FROM events") > TERMS.events_days * MESSAGES
        assert await eye.fetchval("SELECT max(created_at) FROM seen_events") > end - timedelta(days=1)
        for pool in pools.values():
            await pool.close()
        await eye.close()


async def _larger_than_stated(eye: asyncpg.Connection) -> dict[str, tuple[int, float]]:
    found = {}
    for table, bound in BOUNDS.items():
        rows = await eye.fetchval(f"SELECT count(*) FROM {table}")
        megabytes = await eye.fetchval("SELECT pg_total_relation_size($1::text::regclass) / 1e6", table)
        if rows > bound.rows or megabytes > bound.megabytes:
            found[table] = (rows, float(megabytes))
    return found
