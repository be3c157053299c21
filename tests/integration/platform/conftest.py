"""Connection pools of the services' roles, and empty databases."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD
from shared.database.sessions import Database
from tests.conftest import TestDatabase


@pytest.fixture
async def appeals_database(database: TestDatabase) -> AsyncIterator[Database]:
    """A connection pool of the appeals role."""
    pool = Database(database.url("appeals"), 12, name="test")
    yield pool
    await pool.close()


@pytest.fixture
async def empty(migrated_template: str) -> AsyncIterator[tuple[str, str]]:
    """Return the owner's and the superuser's URL of an empty database."""
    name = f"upgrade_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(migrated_template)
    await admin.execute(
        f"CREATE DATABASE {name} OWNER {bootstrap.OWNER} TEMPLATE template0 ENCODING 'UTF8' "
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
    )
    yield (
        bootstrap.with_login(migrated_template, bootstrap.OWNER, TEST_PASSWORD, name),
        bootstrap.with_database(migrated_template, name),
    )
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
