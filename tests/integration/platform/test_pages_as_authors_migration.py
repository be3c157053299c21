"""Migration 0074 removes pages from authors, and ids of conversations from sources and ended scans."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.ingest.pseudonymisation.erased_digests import ERASURE_LOCK
from tests.integration.platform.upgrades import downgrade, upgrade

MESSAGE = """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
    author_key, from_community, text, attachments, url, history, source_kind, written_at, received_at, version,
    raw)
    VALUES ($1, 'vk', 'comment', $2, $1, $1, 't', $3, $4, 'x', '[]', 'u', false, 'poll', now(), now(), 1, '{}')"""
APPEAL = """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, written_at, opened_at,
    route, author_key, created_at, updated_at)
    VALUES (gen_random_uuid(), 1, 'closed', 'normal', 0, 0, 'x', now(), now(), '{}', $1, now(), now())"""
SOURCE = """INSERT INTO sources (id, page_id, kind, cursor, last_error, consecutive_failures, updated_at)
    VALUES (gen_random_uuid(), $1, 'chats_poll', '{}', $2, 0, now())"""
BACKFILL = """INSERT INTO backfills (id, page_id, organisation_id, since, open_appeals, status, cursor, progress,
    items_read, messages_added, requested_by, created_at, updated_at)
    VALUES (gen_random_uuid(), $1, $1, now(), false, $2, '{"after": "chat:C1"}', 0, 0, 0, 'x', now(), now())"""

SCAN = """INSERT INTO reconciliations (id, page_id, since, started_at, finished_at, cursor, compared, gaps,
    within_grace, edited, deleted)
    VALUES (gen_random_uuid(), $1, now(), now(), CASE WHEN $2::boolean THEN now() END, '{"after": "chat:C1"}', 0,
    0, 0, 0, 0)"""


async def _state(connection: asyncpg.Connection) -> dict[str, Any]:
    return {
        "messages": dict(await connection.fetch("SELECT external_id, author_key FROM messages")),
        "authors": {row[0] for row in await connection.fetch("SELECT author_key FROM authors")},
        "errors": {row[0] for row in await connection.fetch("SELECT last_error FROM sources")},
        "cursors": dict(await connection.fetch("SELECT status, cursor ->> 'after' FROM backfills")),
        "scans": dict(
            await connection.fetch("SELECT finished_at IS NOT NULL, cursor ->> 'after' FROM reconciliations")
        ),
    }


async def test_pages_lose_their_author_keys_and_citizens_keep_theirs(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0073")
    connection = await asyncpg.connect(admin)
    await connection.execute("SET session_replication_role = replica")
    rows: list[tuple[str, str | None, bool]] = [
        ("1", "page", True),
        ("2", "page", True),
        ("3", "page-elsewhere", True),
        ("4", "page-elsewhere", False),
        ("5", "anna", False),
        ("6", None, True),
        ("7", None, False),
    ]
    for external_id, author, from_community in rows:
        await connection.execute(MESSAGE, uuid4(), external_id, author, from_community)
    for author in ("page", "page-elsewhere", "anna", "with-appeal"):
        await connection.execute(
            "INSERT INTO authors (author_key, network, identity, created_at, updated_at)"
            " VALUES ($1, 'vk', '', now(), now())",
            author,
        )
    await connection.execute(APPEAL, "with-appeal")
    other_error = "Одноклассники закрыли (обсуждение 7, ошибка 458)"
    for error in ("Одноклассники закрыли (переписка chat:C1, ошибка 458)", other_error, None):
        await connection.execute(SOURCE, uuid4(), error)
    for status in ("failed", "cancelled", "running"):
        await connection.execute(BACKFILL, uuid4(), status)
    for is_finished in (True, False):
        await connection.execute(SCAN, uuid4(), is_finished)
    # An earlier run was interrupted.
    await connection.execute("UPDATE messages SET author_key = NULL WHERE external_id = '1'")
    await connection.execute("CREATE INDEX ix_erasures_pseudonym ON erasures (pseudonym)")
    await upgrade(monkeypatch, owner, "0074")
    expected = {
        "messages": {external_id: None if ours else author for external_id, author, ours in rows},
        "authors": {"page-elsewhere", "anna", "with-appeal"},
        "errors": {"Одноклассники закрыли (одна из переписок, ошибка 458)", other_error, None},
        "cursors": {"failed": None, "cancelled": None, "running": "chat:C1"},
        "scans": {True: None, False: "chat:C1"},
    }
    assert await _state(connection) == expected
    await downgrade("0073")
    await upgrade(monkeypatch, owner, "0074")
    assert await _state(connection) == expected
    await connection.close()


async def test_intake_that_holds_the_lock_of_erasures_is_not_blocked(
    empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intake holds the lock while it stores messages, and then updates its source."""
    owner, admin = empty
    await upgrade(monkeypatch, owner, "0073")
    connection, intake = await asyncpg.connect(admin), await asyncpg.connect(admin)
    for one in (connection, intake):
        await one.execute("SET session_replication_role = replica")
    await connection.execute(SOURCE, uuid4(), "Одноклассники закрыли (переписка chat:C1, ошибка 458)")
    await connection.execute(
        "INSERT INTO authors (author_key, network, identity, created_at, updated_at)"
        " VALUES ('page', 'vk', '', now(), now())"
    )
    transaction = intake.transaction()
    await transaction.start()
    await intake.execute("SELECT pg_advisory_xact_lock_shared($1)", ERASURE_LOCK)
    await intake.execute(MESSAGE, uuid4(), "1", "page", False)
    migration = asyncio.create_task(upgrade(monkeypatch, owner, "0074"))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not migration.done() and not await connection.fetchval(waiting):
        await asyncio.sleep(0.02)
    await intake.execute("SET LOCAL lock_timeout = '500ms'")
    await intake.execute("UPDATE sources SET updated_at = now()")
    await transaction.commit()
    await migration
    # The author of the message that was stored meanwhile is kept.
    assert (await _state(connection))["authors"] == {"page"}
    assert (await _state(connection))["errors"] == {"Одноклассники закрыли (одна из переписок, ошибка 458)"}
    await connection.close()
    await intake.close()
