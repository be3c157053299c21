"""Upgrades while services run: no long lock, one at a time, and resumable."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Engine, event, select

from cli.deployment import provisioning as bootstrap
from cli.deployment.prepare import prepare
from cli.embedded.temporary_postgres import TEST_PASSWORD, temporary_server
from migrations.lock import PREPARE_LOCK, hold_lock
from shared.audit.hash_chain import GENESIS, ChainHead, chain_hash, verify
from shared.contracts.catalogue import EVENT_MODELS
from shared.database.sessions import Database
from shared.tables.common import AuditEntry
from tests.conftest import OPTIONS, SERVICES
from tests.integration.platform.upgrades import downgrade, upgrade

# Tables bounded by the number of a region's organisations, pages and people, or by a day; all others grow.
BOUNDED_TABLES = {
    "api_clients", "appeals_idempotency", "calendar_days", "calendars", "client_secrets", "ingest_idempotency",
    "municipalities", "network_tokens", "organisation_names", "organisations", "pages", "people",
    "registry_idempotency", "routing_rules", "rule_sets", "sla_policies", "sources", "topics",
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
    """Statements of an upgrade."""

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


async def test_killed_index_build_is_resumed(empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0009")
    reader, builder = await asyncpg.connect(admin), await asyncpg.connect(owner)
    build = "CREATE INDEX CONCURRENTLY ix_triage_created_at ON triage (created_at, message_id)"
    try:
        # A build waits for older readers; killed while it waits, it leaves an invalid index.
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


async def test_second_upgrade_waits_for_the_first(empty: tuple[str, str]) -> None:
    owner, admin = empty
    runs = await asyncio.gather(*(_gospablik("migrate", GOSPABLIK_DATABASE_DIRECT_URL=owner) for _ in range(3)))
    assert [(code, said) for code, said in runs if code] == []
    assert sum("waiting for its end" in said for _, said in runs) == 2
    connection = await asyncpg.connect(admin)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    await connection.close()


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
            assert await connection.fetchval("SELECT count(*) FROM events") == 0
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


async def test_old_replies_keep_their_message_and_one_stays_pending(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0019")
    connection = await asyncpg.connect(admin)
    # Foreign keys are not checked, to insert only the rows of interest.
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


async def test_shared_names_change_and_the_objects_stay(
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


async def test_publications_are_readable_while_their_appeals_are_filled_in(
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


async def test_registry_rows_are_read_by_their_new_names(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    await connection.execute("SET session_replication_role = replica")
    own, day, moment = uuid4(), date(2026, 11, 25), datetime(2026, 11, 25, 1, tzinfo=UTC)
    statements: list[tuple[str, tuple[Any, ...]]] = [
        ("organisations (id, name, sort_key, kind, active, version, created_at, updated_at)"
         " VALUES ($1, 'x', 'x', 'other', true, 1, $2, $2)", (own, moment)),
        ("organisation_names (id, organisation_id, kind, name, folded, created_at)"
         " VALUES ($1, $1, 'official', 'Ёлка', 'елка', $2)", (own, moment)),
        ("successions (id, predecessor_id, successor_id, kind, took_place_on, created_at)"
         " VALUES ($1, $1, $1, 'merged', $2, $3)", (own, day, moment)),
        ("pages (id, organisation_id, network, external_id, name, sort_key, url, live_from, active, version,"
         " created_at, updated_at) VALUES ($1, $1, 'vk', '1', 'x', 'x', 'x', $2, true, 1, $2, $2)", (own, moment)),
        ("page_checks (id, page_id, day, checked_at, outcome, facts, changed, calls)"
         """ VALUES ($1, $1, $2, $3, 'open', '{"name": "x"}', '[{"field": "name"}]', 1)""", (own, day, moment)),
        ("coverage_days (id, day, network, owner_id, kind, total, exempt, covered, live)"
         " VALUES ($1, $2, 'vk', $1, 'other', 7, 1, 5, 3)", (own, day)),
        ("people (id, username, full_name, role, beneath, active, version, created_at, updated_at)"
         " VALUES ($1, 'x', 'x', 'manager', true, true, 1, $2, $2)", (own, moment)),
        ("api_clients (id, name, role, beneath, active, created_at)"
         " VALUES ($1, 'x', 'manager', true, true, $2)", (own, moment)),
        ("refresh_tokens (digest, session_id, person_id, came_from, created_at, expires_at)"
         " VALUES ('x', $1, $1, '192.0.2.7', $2, $2)", (own, moment)),
        *(
            ("page_steps (id, page_id, step, reached_on, evidence_kind, confirmed_by, created_at)"
             " VALUES ($1, $2, $3, $4, 'manual', $5, $6)", (uuid4(), own, step, day, by, moment))
            for step, by in (("verified", "system"), ("marked", str(own)), ("created", "migration"))
        ),
        *(
            (f"{service}_idempotency (caller, key, fingerprint, created_at) VALUES ('x', 'x', 'x', $1)", (moment,))
            for service in ("registry", "webhooks", "appeals")
        ),
    ]  # fmt: skip
    for statement, values in statements:
        await connection.execute(f"INSERT INTO {statement}", *values)
    await upgrade(monkeypatch, owner, "0027")
    for query, expected in (
        ("SELECT normalized_name FROM organisation_names", "елка"),
        ("SELECT effective_on FROM successions", day),
        ("SELECT go_live_at FROM pages", moment),
        ("SELECT (state, snapshot ->> 'name', changes -> 0 ->> 'field') FROM page_checks", ("open", "x", "name")),
        ("SELECT (parent_id, required, exempt) FROM coverage_days", (own, 7, 1)),
        ("SELECT include_subordinates FROM people", True),
        ("SELECT include_subordinates FROM api_clients", True),
        ("SELECT ip_address FROM refresh_tokens", "192.0.2.7"),
        ("SELECT array_agg(step ORDER BY step) FROM page_steps", ["created", "gov_badge", "verified"]),
        ("SELECT array_agg(confirmed_by ORDER BY step) FROM page_steps", ["migration", str(own), "registry"]),
        ("SELECT count(*) FROM registry_idempotency", 0),
        ("SELECT count(*) FROM webhooks_idempotency", 0),
    ):
        assert await connection.fetchval(query) == expected, query
    await connection.execute("SET session_replication_role = origin")
    await connection.execute("UPDATE organisations SET parent_id = NULL")  # the trigger sets the lineage
    child = uuid4()
    await connection.execute(
        "INSERT INTO organisations (id, name, sort_key, kind, parent_id, active, version, created_at, updated_at)"
        " VALUES ($1, 'y', 'y', 'other', $2, true, 1, now(), now())",
        child, own,
    )  # fmt: skip
    with pytest.raises(asyncpg.CheckViolationError, match="one of its descendants"):
        await connection.execute("UPDATE organisations SET parent_id = $1 WHERE id = $2", child, own)
    await connection.close()


async def test_events_deliveries_and_subscriptions_get_the_new_names(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    await connection.execute("SET session_replication_role = replica")
    page, moved = {"network": "vk", "external_id": "1", "url": "x"}, str(uuid4())
    registered = page | {"active": True, "version": 1, "live_from": "2026-11-20T01:00:00+00:00"}
    renamed = {"name": {"before": "marked", "after": "live_from"}}
    reason = "its owner lacks the right «registry:read», which «{}» needs"
    went = registered | {"go_live_at": registered["live_from"]}
    del went["live_from"]
    # Former type, actor and data; then the new ones.
    rows: list[tuple[str, str, dict[str, Any], str, str, dict[str, Any]]] = [
        ("page.registered", moved, registered, "page.registered", moved, went),
        ("page.changed", moved, registered | {"changed": ["live_from", "name"], "moved_from": moved},
         "page.changed", moved, went | {"changed": ["go_live_at", "name"], "previous_organisation_id": moved}),
        ("page.changed_hands", moved, registered | {"moved_from": moved},
         "page.transferred", moved, went | {"previous_organisation_id": moved}),
        ("page.step_reached", "system", page | {"step": "marked", "evidence_kind": "network"},
         "page.step_reached", "registry", page | {"step": "gov_badge", "evidence_kind": "network"}),
        ("page.mark_lost", "system", page | {"step": "marked", "reason": "marked"},
         "page.badge_lost", "registry", page | {"step": "gov_badge", "reason": "marked"}),
        ("page.unreachable", "system", page | {"reason": None}, "page.gone", "registry", page | {"reason": None}),
        ("page.stolen", "system", page | renamed | {"signs": ["name_and_address_changed", "mark_lost_with_name"]},
         "page.takeover_suspected", "registry",
         page | renamed | {"signals": ["name_and_screen_name_changed", "badge_lost_with_rename"]}),
        ("organisation.succeeded", moved,
         {"code": None, "version": 1, "kind": "merged", "took_place_on": "2026-09-01", "successors": [moved]},
         "organisation.succession_recorded", moved,
         {"code": None, "version": 1, "kind": "merged", "effective_on": "2026-09-01", "successor_ids": [moved]}),
        ("person.changed", moved, {"changed": ["beneath", "role"], "version": 2},
         "person.changed", moved, {"changed": ["include_subordinates", "role"], "version": 2}),
        ("webhook.suspended", "webhooks", {"reason": reason.format("page.stolen")},
         "webhook.endpoint_suspended", "webhooks", {"reason": reason.format("page.takeover_suspected")}),
        ("appeal.opened", "system", {"step": "marked", "signs": 1}, "appeal.opened", "system",
         {"step": "marked", "signs": 1}),
    ]  # fmt: skip

    def is_sent(kind: str) -> bool:
        return kind.startswith(("page.", "organisation.", "appeal."))

    endpoint_id = uuid4()
    await connection.execute(
        """INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, personal_data,
           created_by, version, created_at, updated_at, suspended_reason)
           VALUES ($1, 'x', 'x', $2::text::jsonb, '', true, false, 'x', 1, now(), now(), $3)""",
        endpoint_id, json.dumps([row[0] for row in rows if is_sent(row[0])]), reason.format("page.stolen"),
    )  # fmt: skip
    for number, (kind, actor, data, *_) in enumerate(rows):
        event_id = uuid4()
        await connection.execute(
            """INSERT INTO events (id, position, type, subject_id, actor, occurred_at, created_at, data)
               VALUES ($1, $2, $3, $1, $4, now(), now(), $5::text::jsonb)""",
            event_id, number, kind, actor, json.dumps(data),
        )  # fmt: skip
        if not is_sent(kind):
            continue
        payload = {"type": kind, "timestamp": "x", "position": "0.1", "data": data | {"id": moved}}
        await connection.execute(
            """INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, payload, status, attempts,
               next_attempt_at, created_at, last_error)
               VALUES ($1, $2, $3, $4, $5::text::jsonb, 'failed', 1, now(), now(), $6)""",
            uuid4(), endpoint_id, event_id, kind, json.dumps(payload), reason.format(kind),
        )  # fmt: skip
    await upgrade(monkeypatch, owner, "0027")
    found = await connection.fetch("SELECT type, actor, data::text FROM events ORDER BY position")
    assert [(row["type"], row["actor"], json.loads(row["data"])) for row in found] == [row[3:] for row in rows]
    for row in found:
        if row["type"].startswith(("page.registered", "page.transferred", "page.takeover", "organisation.")):
            EVENT_MODELS[row["type"]].model_validate_json(row["data"])
    delivered = await connection.fetch(
        """SELECT delivery.event_type, delivery.payload::text, delivery.last_error FROM webhook_deliveries delivery
           JOIN events ON events.id = delivery.event_id ORDER BY events.position"""
    )
    for row, (kind, _, data) in zip(delivered, [row[3:] for row in rows if is_sent(row[3])], strict=True):
        assert json.loads(row["payload"]) == {
            "type": kind, "timestamp": "x", "position": "0.1", "data": data | {"id": moved}
        }  # fmt: skip
        assert (row["event_type"], row["last_error"]) == (kind, reason.format(kind))
    endpoint = await connection.fetchrow("SELECT event_types::text, suspended_reason FROM webhook_endpoints")
    assert endpoint is not None
    assert json.loads(endpoint["event_types"]) == [row[3] for row in rows if is_sent(row[3])]
    assert endpoint["suspended_reason"] == reason.format("page.takeover_suspected")
    await connection.close()


async def test_audit_rows_of_the_former_version_are_verified(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    chain = GENESIS
    for position in (1, 2):
        entry: dict[str, Any] = {
            "id": uuid4(), "position": position, "created_at": datetime(2026, 11, 25, 1, tzinfo=UTC),
            "service": "registry", "actor": "x", "on_behalf_of": None, "action": "registry_patch_page",
            "subject_kind": "pages", "subject_id": "x", "organisation_id": None, "before": {"live_from": "x"},
            "after": {"beneath": True}, "request_id": None, "came_from": "192.0.2.7",
        }  # fmt: skip
        chain = chain_hash(chain, entry)
        values = entry | {
            "before": json.dumps(entry["before"]),
            "after": json.dumps(entry["after"]),
            "chain": chain,
        }
        numbered = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await connection.execute(f"INSERT INTO audit ({', '.join(values)}) VALUES ({numbered})", *values.values())
    await connection.close()
    await upgrade(monkeypatch, owner, "0027")
    database = Database(admin, 1, name="test")
    try:
        async with database.read() as session:
            result = await verify(session)
            assert [row.ip_address for row in await session.scalars(select(AuditEntry))] == ["192.0.2.7"] * 2
    finally:
        await database.close()
    assert (result.head, result.error) == (ChainHead(2, chain), None)


async def test_registry_names_are_restored_by_a_downgrade(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0025")
    connection = await asyncpg.connect(admin)
    columns = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        " ORDER BY 1, 2"
    )
    data = {"step": "marked", "live_from": "x", "changed": ["beneath"], "signs": ["mark_lost_with_name"]}
    await connection.execute(
        """INSERT INTO events (id, type, subject_id, actor, occurred_at, created_at, data)
           VALUES ($1, 'page.stolen', $1, 'system', now(), now(), $2::text::jsonb)""",
        uuid4(), json.dumps(data),
    )  # fmt: skip
    before = await connection.fetch(columns), await connection.fetch("SELECT * FROM events")
    await upgrade(monkeypatch, owner, "0027")
    assert await connection.fetch(columns) != before[0]
    await downgrade("0025")
    assert (await connection.fetch(columns), await connection.fetch("SELECT * FROM events")) == before
    await connection.close()
