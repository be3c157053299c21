"""Creating the database and its roles, on a real Postgres."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from cli.deployment import provisioning
from cli.embedded.temporary_postgres import TEST_PASSWORD

pytestmark = pytest.mark.enable_socket  # a Postgres server on loopback


@pytest.fixture
async def admin(migrated_template: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_template)
    yield connection
    await connection.close()


async def _check(migrated_template: str, admin: asyncpg.Connection, options: str) -> None:
    name = f"locale_{secrets.token_hex(4)}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
    try:
        connection = await asyncpg.connect(provisioning.with_database(migrated_template, name))
        try:
            await provisioning.check_cyrillic_support(connection)
        finally:
            await connection.close()
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_cyrillic_words_have_trigrams_in_the_provisioned_database(migrated_template: str) -> None:
    connection = await asyncpg.connect(provisioning.with_database(migrated_template, provisioning.DATABASE))
    try:
        await provisioning.check_cyrillic_support(connection)
        async with connection.transaction():
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            assert await connection.fetchval("SELECT cardinality(show_trgm('Ухабы'))") > 0
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("options", "failed_check"),
    [
        ("ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'", "folds"),
        # Folding of case works with this locale, but trigrams and full text recognise letters by LC_CTYPE.
        (
            "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'",
            "letters",
        ),
        ("ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'", "encoding"),
    ],
)
async def test_locale_without_cyrillic_support_is_refused(
    migrated_template: str, admin: asyncpg.Connection, options: str, failed_check: str
) -> None:
    with pytest.raises(provisioning.DatabaseError, match=failed_check):
        await _check(migrated_template, admin, options)


async def test_repeated_preparation_updates_only_the_password(migrated_template: str) -> None:
    assert await provisioning.ensure_database(migrated_template, "changed") is False
    try:
        connection = await asyncpg.connect(
            provisioning.with_login(migrated_template, provisioning.OWNER, "changed")
        )
        try:
            assert await connection.fetchval("SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user")
            assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        finally:
            await connection.close()
    finally:
        # Roles belong to the server, which is shared with other tests.
        await provisioning.ensure_database(migrated_template, TEST_PASSWORD)


async def test_no_statement_contains_a_password(migrated_template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    async def logged(url: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(url)
        connection.add_query_logger(lambda query: sent.append(f"{query.query} {query.args}"))
        return connection

    monkeypatch.setattr(provisioning, "connect", logged)
    try:
        await provisioning.ensure_database(migrated_template, "new-of-owner")
        await provisioning.ensure_logins(migrated_template, {"ingest": "new-of-ingest"})
        for role, password in ((provisioning.OWNER, "new-of-owner"), ("ingest", "new-of-ingest")):
            await (await asyncpg.connect(provisioning.with_login(migrated_template, role, password))).close()
    finally:
        # Roles belong to the server, which is shared with other tests.
        await provisioning.ensure_database(migrated_template, TEST_PASSWORD)
        await provisioning.ensure_logins(migrated_template, {"ingest": TEST_PASSWORD})
    text = "\n".join(sent)
    assert "ROLE ingest LOGIN" in text
    assert "new-of-" not in text
    assert TEST_PASSWORD not in text


async def test_wrong_password_is_refused_over_tcp(migrated_template: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(provisioning.with_login(migrated_template, "ingest", "wrong"))


async def test_logins_are_members_only_of_their_own_group(admin: asyncpg.Connection) -> None:
    rows = await admin.fetch(
        "SELECT member.rolname AS login, owner.rolname AS role FROM pg_auth_members"
        " JOIN pg_roles member ON member.oid = pg_auth_members.member"
        " JOIN pg_roles owner ON owner.oid = pg_auth_members.roleid WHERE member.rolcanlogin"
        " AND member.rolname IN ('registry', 'ingest', 'appeals', 'metrics', 'webhooks')"
    )
    assert {(row["login"], row["role"]) for row in rows} == {
        (name, f"gospablik_{name}") for name in ("registry", "ingest", "appeals", "metrics", "webhooks")
    }


async def test_wait_ends_when_the_server_stops() -> None:
    messages: list[str] = []
    alive = iter([True, True, False])
    with pytest.raises(provisioning.DatabaseError, match="stopped"):
        await provisioning.wait_until_ready(
            "postgresql://x@127.0.0.1:1/x",
            is_alive=lambda: next(alive),
            progress=messages.append,
            progress_interval=0,
        )
    assert len(messages) == 2


def test_passwords_are_escaped_in_urls() -> None:
    url = provisioning.with_login("postgresql://postgres:old@127.0.0.1:8132/postgres", "ingest", "p@/:?#ss")
    assert url == "postgresql://ingest:p%40%2F%3A%3F%23ss@127.0.0.1:8132/gospablik"
