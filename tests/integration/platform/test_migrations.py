"""Upgrades while services run: no long lock, one at a time, and resumable."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Engine, event

from cli.deployment import provisioning as bootstrap
from cli.deployment.prepare import prepare
from cli.embedded.temporary_postgres import TEST_PASSWORD, temporary_server
from migrations.lock import MIGRATION_LOCK, PREPARE_LOCK, hold_lock
from tests.conftest import API_SERVICES, OPTIONS, SERVICES, TestDatabase
from tests.integration.platform.upgrades import upgrade
from tests.support.eventually import eventually

# Tables bounded by a region's organisations, pages and people, or purged after a day; all other tables grow.
BOUNDED_TABLES = {
    "api_clients", "appeals_idempotency", "calendar_days", "calendars", "client_secrets", "ingest_idempotency",
    "metrics_idempotency", "municipalities", "network_tokens", "organisation_names", "organisations", "pages",
    "people", "registry_idempotency", "routing_rules", "rule_sets", "sla_policies", "sources", "topics",
    "webhook_endpoints", "webhooks_idempotency",
}  # fmt: skip
INDEX = re.compile(
    r"\s*CREATE (?:UNIQUE )?INDEX (?P<concurrent>CONCURRENTLY )?(?:IF NOT EXISTS )?\S+ ON (?P<table>\w+)"
)
TABLE = re.compile(r"\s*CREATE TABLE (?:IF NOT EXISTS )?(?P<table>\w+)")
# Constraints and column changes that read or rewrite every row under a lock that blocks writers.
CONSTRAINT = re.compile(
    r"\s*ALTER TABLE (?P<table>\w+) (?:ADD CONSTRAINT(?!.*(?:USING INDEX|NOT VALID))"
    r"|ALTER COLUMN \w+ (?:SET NOT NULL|TYPE))"
)


@dataclass
class RecordedStatements:
    """The statements that an upgrade executed."""

    blocking: list[str] = field(default_factory=list)
    timeouts: set[tuple[str, str]] = field(default_factory=set)
    concurrent: int = 0


@contextmanager
def record_statements() -> Iterator[RecordedStatements]:
    """Record the statements of all engines until the block ends."""
    found = RecordedStatements()
    new: set[str] = set()

    def before(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if table := TABLE.match(statement):
            new.add(table["table"])
        elif " alembic_version " in statement:
            new.clear()
        elif (index := INDEX.match(statement)) and index["concurrent"]:
            found.concurrent += 1
            shown = []
            for name in ("lock_timeout", "statement_timeout"):
                cursor.execute(f"SHOW {name}")
                shown.append(str(cursor.fetchone()[0]))
            found.timeouts.add((shown[0], shown[1]))
        elif (met := index or CONSTRAINT.match(statement)) and met["table"] not in new | BOUNDED_TABLES:
            found.blocking.append(statement.strip())

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", before)


async def _gospablik(command: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_upgrade_builds_indexes_of_growing_tables_concurrently(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, _ = empty
    # Tables of the first release are empty when they are created.
    await upgrade(monkeypatch, owner, "0004")
    with record_statements() as found:
        await upgrade(monkeypatch, owner)
    assert found.blocking == []
    assert found.concurrent > 20
    assert found.timeouts == {("0", "0")}, (
        "an index build has no timeouts, because it takes a long time and waits for readers"
    )


async def test_invalid_index_of_a_killed_build_is_rebuilt(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0009")
    reader, builder = await asyncpg.connect(admin), await asyncpg.connect(owner)
    build = "CREATE INDEX CONCURRENTLY ix_triage_created_at ON triage (created_at, message_id)"
    try:
        # A build waits for older transactions; if it is killed meanwhile, it leaves an invalid index.
        async with reader.transaction(isolation="repeatable_read"):
            await reader.fetchval("SELECT count(*) FROM triage")
            building = asyncio.create_task(builder.execute(build))
            waits = "SELECT true FROM pg_stat_activity WHERE query = $1 AND wait_event = 'virtualxid'"
            watcher = await asyncpg.connect(admin)
            while not await watcher.fetchval(waits, build):
                await asyncio.sleep(0.01)
            await watcher.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1", build)
            with pytest.raises(asyncpg.PostgresError):
                await building
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
        assert await watcher.fetchval(valid, "ix_triage_created_at") is False
        await upgrade(monkeypatch, owner)
        assert await watcher.fetchval(valid, "ix_classifications_created_at") is True
        assert await watcher.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
        await watcher.close()
    finally:
        await reader.close()
        builder.terminate()


async def test_database_of_a_newer_version_is_left_alone_and_named(database: TestDatabase) -> None:
    connection = await database.connect()
    head = await connection.fetchval("SELECT version_num FROM alembic_version")
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    try:
        url = database.url(bootstrap.OWNER)
        code, said = await _gospablik("migrate", GOSPABLIK_DATABASE_DIRECT_URL=url)
        assert (code, said[:54]) == (1, "The database is at revision 9999, to which a newer ver")
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
    finally:
        await connection.execute("UPDATE alembic_version SET version_num = $1", head)
        await connection.close()


@pytest.mark.long
async def test_concurrent_upgrades_wait_for_each_other(empty: tuple[str, str]) -> None:
    owner, admin = empty
    first, connection = await asyncpg.connect(owner), await asyncpg.connect(admin)
    await hold_lock(first, MIGRATION_LOCK, lambda _: None)
    running = asyncio.gather(*(_gospablik("migrate", GOSPABLIK_DATABASE_DIRECT_URL=owner) for _ in range(3)))

    async def all_wait() -> bool:
        # The last statement of the three upgrades and of the first connection is a request for the lock.
        query = """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%'"""
        return bool(await connection.fetchval(query) == 1 + 3)

    await eventually(all_wait, "three upgrades that wait")
    await first.close()
    runs = await running
    assert [(code, said) for code, said in runs if code] == []
    assert ["waiting for its end" in said for _, said in runs] == [True] * 3
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    await connection.close()


@pytest.mark.long
async def test_concurrent_prepare_runs_create_one_deployment(tmp_path_factory: pytest.TempPathFactory) -> None:
    with temporary_server(OPTIONS) as admin:
        await bootstrap.wait_until_ready(admin, is_alive=lambda: True, progress=lambda _: None)
        environment = {
            "GOSPABLIK_DATABASE_ADMIN_URL": admin,
            "GOSPABLIK_OWNER_PASSWORD": TEST_PASSWORD,
            "GOSPABLIK_KEYS_DIR": str(tmp_path_factory.mktemp("prepared")),
            **{f"GOSPABLIK_{name.upper()}_PASSWORD": TEST_PASSWORD for name in SERVICES},
        }
        runs = await asyncio.gather(*(_gospablik("prepare", **environment) for _ in range(2)))
        assert [(code, said) for code, said in runs if code] == []
        for role in SERVICES:
            connection = await asyncpg.connect(bootstrap.with_login(admin, role, TEST_PASSWORD))
            table = "events" if role in API_SERVICES else "console_sessions"
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
            await connection.close()


async def test_prepare_creates_nothing_during_another_prepare_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with temporary_server(OPTIONS) as admin:
        environment = {
            "GOSPABLIK_DATABASE_ADMIN_URL": admin,
            "GOSPABLIK_OWNER_PASSWORD": TEST_PASSWORD,
            "GOSPABLIK_KEYS_DIR": str(tmp_path),
            **{f"GOSPABLIK_{name.upper()}_PASSWORD": TEST_PASSWORD for name in SERVICES},
        }
        await bootstrap.wait_until_ready(admin, is_alive=lambda: True, progress=lambda _: None)
        other = await asyncpg.connect(admin)
        await hold_lock(other, PREPARE_LOCK, lambda _: None)
        running = asyncio.create_task(prepare(environment))
        said = ""
        while "waiting for its end" not in said:
            assert not running.done()
            await asyncio.sleep(0.05)
            said += capsys.readouterr().out
        created = await other.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", bootstrap.OWNER)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await other.close()
    assert created == 0


@pytest.mark.long
async def test_old_replies_keep_their_message_and_one_reply_stays_pending(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0019")
    connection = await asyncpg.connect(admin)
    # Foreign keys are not checked, so that only the needed rows are inserted.
    await connection.execute("SET session_replication_role = replica")
    one, other, message, parent, own = (uuid4() for _ in range(5))
    sent, second, failed, by_hand = (uuid4() for _ in range(4))
    for appeal in (one, other):
        await connection.execute(
            """INSERT INTO appeals (id, version, status, urgency, handovers, returns, text, written_at, opened_at,
               route, created_at, updated_at)
               VALUES ($1, 1, 'assigned', 'normal', 0, 0, 'x', now(), now(), '{}', now(), now())""",
            appeal,
        )
    for reply, appeal, status, minutes in (
        (sent, one, "sending", 0), (second, one, "queued", 1), (failed, other, "failed", 2),
        (by_hand, other, "published", -1),
    ):  # fmt: skip
        await connection.execute(
            """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, failure, message_id,
               version, created_at, updated_at)
               VALUES ($1, $2, 'x', 'final', 'x', $3, 'x', '{"code": "vk:15", "message": "Нет"}', $4, 1,
               now() + $5 * interval '1 minute', now())""",
            reply, appeal, status, own if reply == by_hand else None, minutes,
        )  # fmt: skip
        for again in ({"message_id": str(message)}, {"again": True}):
            data = json.dumps({"reply_id": str(reply)} | again)
            if reply != by_hand:
                await connection.execute(
                    """INSERT INTO timeline (id, appeal_id, at, kind, actor, data)
                       VALUES ($1, $2, now(), 'reply_queued', 'x', $3::text::jsonb)""",
                    uuid4(), appeal, data,
                )  # fmt: skip
    for found, external, reply_to in ((message, "30", None), (parent, "31", None), (own, "32", "31")):
        await connection.execute(
            """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
               reply_to, from_community, text, attachments, url, history, way_in, written_at, received_at,
               version, raw)
               VALUES ($1, 'vk', 'comment', $2, $1, $1, 't', $3, false, 'x', '[]', 'x', false, 'poll', now(),
               now(), 1, '{}')""",
            found, external, reply_to,
        )  # fmt: skip
    await connection.execute("INSERT INTO appeal_messages VALUES ($1, $2, now())", parent, other)
    await upgrade(monkeypatch, owner)
    rows = {row["id"]: row for row in await connection.fetch("SELECT * FROM replies")}
    assert [rows[reply]["in_reply_to"] for reply in (sent, second, failed, by_hand)] == [message] * 3 + [parent]
    assert [rows[reply]["status"] for reply in (sent, second)] == ["sending", "failed"]
    shown = dict(await connection.fetch("SELECT id, reply_failed ->> 'reply_id' FROM appeals"))
    assert shown == {one: str(second), other: str(failed)}
    await connection.close()


@pytest.mark.long
async def test_appeals_on_approval_become_in_progress(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0023")
    connection = await asyncpg.connect(admin)
    statuses = {uuid4(): status for status in ("on_approval", "assigned", "closed")}
    for appeal, status in statuses.items():
        await connection.execute(
            """INSERT INTO appeals (id, version, status, urgency, handovers, returns, text, written_at, opened_at,
               route, created_at, updated_at)
               VALUES ($1, 3, $2, 'normal', 0, 0, 'x', now(), now(), '{}', now(), now())""",
            appeal, status,
        )  # fmt: skip
    await upgrade(monkeypatch, owner)
    found = {row["id"]: (row["status"], row["version"]) for row in await connection.fetch("SELECT * FROM appeals")}
    waited, *others = statuses
    assert found == {waited: ("in_progress", 4)} | {appeal: (statuses[appeal], 3) for appeal in others}
    await connection.close()


@pytest.mark.long
async def test_shared_indexes_triggers_and_functions_are_renamed_and_work(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    names = """SELECT relname FROM pg_class WHERE relkind = 'i' AND relname ~ '^ix_(events|audit)_(waiting|un)'
        UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND NOT tgisinternal
        UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'events%jobs'
            AND has_function_privilege('gospablik_webhooks', oid, 'EXECUTE')"""
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    assert {row[0] for row in await connection.fetch(names)} == {
        "ix_events_waiting",
        "ix_audit_waiting",
        "audit_is_append_only",
        "audit_is_never_emptied",
        "events_of_jobs",
    }
    await upgrade(monkeypatch, owner)
    assert {row[0] for row in await connection.fetch(names)} == {
        "ix_events_unnumbered",
        "ix_audit_unchained",
        "audit_is_append_only",
        "audit_rejects_truncate",
        "events_needed_by_jobs",
    }
    assert await connection.fetch("SELECT events_needed_by_jobs()") == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute("TRUNCATE audit")
    await connection.close()


@pytest.mark.long
async def test_publications_are_readable_while_the_migration_fills_appeal_id(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0017")
    connection, other = await asyncpg.connect(admin), await asyncpg.connect(admin)
    for one in (connection, other):
        await one.execute("SET session_replication_role = replica")
    appeal, reply, publication = (uuid4() for _ in range(3))
    await connection.execute(
        """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, version, created_at, updated_at)
           VALUES ($1, $2, 'gospablik', 'final', 'x', 'published', 'x', 1, now(), now())""",
        reply, appeal,
    )  # fmt: skip
    await connection.execute(
        """INSERT INTO publications (id, reply_id, page_id, organisation_id, network, kind, thread_key, text,
           on_behalf_of, status, attempts, version, created_at, updated_at)
           VALUES ($1, $2, $1, $1, 'vk', 'comment', 't', 'x', 'x', 'published', 1, 1, now(), now())""",
        publication, reply,
    )  # fmt: skip
    # The update is slow: readers of the table must not wait for it.
    await connection.execute(
        """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$"""
    )
    await connection.execute(
        "CREATE TRIGGER slow BEFORE UPDATE ON publications FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    await connection.execute("SELECT pg_advisory_lock(42)")
    upgrading = asyncio.create_task(upgrade(monkeypatch, owner, "0018"))
    waits = "SELECT true FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted"
    while not await other.fetchval(waits) and not upgrading.done():
        await asyncio.sleep(0.01)
    try:
        assert await other.fetchval("SELECT count(*) FROM publications", timeout=60) == 1
    finally:
        await connection.execute("SELECT pg_advisory_unlock(42)")
        await upgrading
    assert await other.fetchval("SELECT appeal_id FROM publications") == appeal
    for one in (connection, other):
        await one.close()
