"""Idempotency keys: what is stored about a request, and for how long."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from shared.api import idempotency
from shared.database.sessions import Database
from shared.settings import ServiceName
from shared.tables.appeals import AppealsIdempotency
from shared.tables.ownership import OWNER_ONLY_TABLES
from tests.conftest import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.service_under_test import service_under_test

DIALECT = dialect()  # type: ignore[no-untyped-call]
PEOPLE = "/api/v1/people"
PERSON = b'{"username": "t.ivanova", "full_name": "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd\xd0\xbe\xd0\xb2\xd0\xb0", \
"role": "head", "password": "correct horse 9"}'
JSON = {"Content-Type": "application/json", "Idempotency-Key": "first"}


async def test_fingerprint_cannot_confirm_a_guessed_password(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir) as registry:
        headers = registry.headers("operations", **JSON)
        first = await registry.client.post(PEOPLE, content=PERSON, headers=headers)
        again = await registry.client.post(PEOPLE, content=PERSON, headers=headers)
        assert (first.status_code, again.json()) == (201, first.json())
        other = await registry.client.post(PEOPLE, content=PERSON.replace(b"9", b"8"), headers=headers)
        assert other.json()["type"] == "/problems/idempotency-key-reused"
    connection = await database.connect()
    kept = await connection.fetchval("SELECT fingerprint FROM registry_idempotency")
    await connection.close()
    assert kept != hashlib.sha256(f"POST {PEOPLE}\n".encode() + PERSON).hexdigest()


async def test_fingerprints_depend_on_the_key_of_the_deployment(database: TestDatabase, keys_dir: Path) -> None:
    found = []
    for key in ("one-key-of-a-deployment", "another-key-of-a-deployment"):
        async with service_under_test("registry", database, keys_dir, cursor_key=key) as registry:
            headers = registry.headers("operations", **JSON)
            found.append((await registry.client.post(PEOPLE, content=PERSON, headers=headers)).status_code)
    assert found == [201, 422]


async def _insert_response(connection: Any, table: str, caller: str, hours: int) -> None:
    await connection.execute(
        f"""INSERT INTO {table} (caller, key, fingerprint, status, body, created_at)
            VALUES ($1, 'k', 'f', 201, '{{}}', now() - make_interval(hours => $2))""",
        caller,
        hours,
    )


@pytest.mark.parametrize("name", ["registry", "ingest", "appeals", "webhooks"])
async def test_expired_responses_of_all_callers_are_purged(
    name: ServiceName, database: TestDatabase, keys_dir: Path
) -> None:
    table = f"{name}_idempotency"
    assert table in OWNER_ONLY_TABLES
    connection = await database.connect(name)
    for caller, hours in (("one", 25), ("two", 26), ("three", 48), ("fresh", 23)):
        await _insert_response(connection, table, caller, hours)
    async with service_under_test(name, database, keys_dir) as running:
        with mock.patch.object(idempotency, "PURGE_BATCH_SIZE", 2):
            work = running.service._work("worker")["purge-idempotency-keys"]
            task = asyncio.ensure_future(work(running.service))
            async with asyncio.timeout(HANG_SECONDS):
                while await connection.fetchval(f"SELECT count(*) FROM {table}") != 1:
                    assert not task.done()
                    await asyncio.sleep(0.02)
            task.cancel()
    kept = await connection.fetch(f"SELECT caller FROM {table}")
    await connection.close()
    assert [row["caller"] for row in kept] == ["fresh"]


async def test_expired_key_can_be_used_again_before_the_purge(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir) as registry:
        headers = registry.headers("operations", **JSON)
        assert (await registry.client.post(PEOPLE, content=PERSON, headers=headers)).status_code == 201
        second = PERSON.replace(b"t.ivanova", b"o.petrova")
        assert (await registry.client.post(PEOPLE, content=second, headers=headers)).status_code == 422
        connection = await database.connect()
        await connection.execute("UPDATE registry_idempotency SET created_at = created_at - interval '25 hours'")
        await connection.close()
        assert (await registry.client.post(PEOPLE, content=second, headers=headers)).status_code == 201


async def test_responses_are_found_by_the_ids_in_them_with_an_index(database: TestDatabase) -> None:
    """Each erasure deletes responses: without the index it would read all responses of the day."""
    first, second, absent = uuid4(), uuid4(), uuid4()
    connection = await database.connect("appeals")
    for key, body in (
        ("first", {"items": [{"appeal": {"id": str(first)}}], "text": "см."}),
        ("second", {"id": str(second)}),
        ("empty", None),
    ):
        await connection.execute(
            """INSERT INTO appeals_idempotency (caller, key, fingerprint, status, body, created_at)
               VALUES ('one', $1, 'f', 201, $2, now())""",
            key,
            json.dumps(body) if body is not None else None,
        )
    condition = idempotency.contains_one_of(AppealsIdempotency, [first, absent])
    literal = (
        select(AppealsIdempotency.key)
        .where(condition)
        .compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
    )
    service = Database(database.url("appeals"), 1, name="appeals")
    async with service.write() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {literal}".replace(":", r"\:"))))
        await idempotency.delete_responses_about(session, AppealsIdempotency, [first, absent])
    await service.close()
    assert "ix_appeals_idempotency_ids" in plan, plan
    kept = await connection.fetch("SELECT key FROM appeals_idempotency ORDER BY key")
    await connection.close()
    assert [row["key"] for row in kept] == ["empty", "second"]
