"""The shifted clock of the database, on a real Postgres."""

import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import asyncpg
import pytest

from cli.deployment.provisioning import with_database, with_login
from cli.embedded.database_clock import shift_database_clock

pytestmark = pytest.mark.enable_socket  # a Postgres server on loopback

NAME = f"clock_{secrets.token_hex(4)}"
DAY = timedelta(days=1)


@pytest.fixture
async def url(migrated_template: str) -> AsyncIterator[str]:
    """The URL of a new database, with a role of the same name."""
    admin = await asyncpg.connect(migrated_template)
    try:
        await admin.execute(f"CREATE ROLE {NAME} LOGIN PASSWORD '{NAME}'")
        await admin.execute(f"CREATE DATABASE {NAME}")
        yield with_database(migrated_template, NAME)
        await admin.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
        await admin.execute(f"DROP ROLE {NAME}")
    finally:
        await admin.close()


async def offsets(url: str) -> list[timedelta]:
    """Return how far both functions are ahead of the true time of the database."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT now(), clock_timestamp(), pg_catalog.clock_timestamp()")
        shifted: list[datetime] = list(row)
        return [moment - shifted[-1] for moment in shifted[:-1]]
    finally:
        await connection.close()


def days(found: list[timedelta]) -> list[int]:
    return [round(one / DAY) for one in found]


async def test_clock_is_shifted_only_for_the_role_until_the_shift_ends(url: str) -> None:
    role_url = with_login(url, NAME, NAME, NAME)
    for shift in (2, -3, 0):
        await shift_database_clock(url, [NAME], (shift * DAY).total_seconds())
        assert days(await offsets(role_url)) == [shift, shift]
        assert days(await offsets(url)) == [0, 0]


async def test_shifted_clock_does_not_change_the_schema_of_new_tables(url: str) -> None:
    await shift_database_clock(url, [NAME], DAY.total_seconds())
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE made_now ()")
        assert await connection.fetchval("SELECT to_regclass('public.made_now')") == "made_now"
    finally:
        await connection.close()
