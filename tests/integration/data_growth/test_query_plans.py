"""Lists do not become slower as tables grow."""

import secrets
from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from shared.database.sessions import Database
from tests.conftest import MEMORY, OPTIONS, TestDatabase
from tests.integration.data_growth.frequent_queries import FREQUENT_QUERIES, FrequentQuery
from tests.integration.data_growth.large_dataset import Region, fill
from tests.integration.data_growth.query_plans import explain, plan_errors
from tests.support.large_size import MANY_APPEALS

# The planner reads small tables sequentially; with this setting it plans as if they were large.
AS_IF_LARGE = {"enable_seqscan": "off"}

Filled = tuple[TestDatabase, Region]


@pytest.fixture(scope="module")
async def filled(migrated_template: str) -> AsyncIterator[Filled]:
    """A database with twenty thousand appeals and their related rows."""
    name = f"growth_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(migrated_template)
    await admin.execute(
        f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER} STRATEGY FILE_COPY"
    )
    database = TestDatabase(migrated_template, name)
    connection = await database.connect()
    try:
        yield database, await fill(connection, 20_000)
    finally:
        await connection.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _plan_errors_by_mode(
    url: str, query: FrequentQuery, region: Region, settings: Mapping[str, str]
) -> dict[str, list[str]]:
    reader = Database(url, 1, name="growth")
    try:
        return {
            mode: errors
            for mode in query.modes
            if (
                errors := plan_errors(
                    await explain(reader, lambda asked: query.work(asked, region), mode, settings), query
                )
            )
        }
    finally:
        await reader.close()


@pytest.mark.parametrize("query", FREQUENT_QUERIES, ids=lambda query: query.name)
async def test_list_reads_few_rows_beyond_its_page(filled: Filled, query: FrequentQuery) -> None:
    database, region = filled
    assert await _plan_errors_by_mode(database.url(query.service), query, region, AS_IF_LARGE) == {}


@pytest.mark.long
async def test_lists_of_many_appeals_read_few_rows_beyond_their_page() -> None:
    memory = MEMORY if MEMORY.is_dir() else None
    options = (*OPTIONS, "max_wal_size=2GB", "shared_buffers=512MB", "maintenance_work_mem=256MB")
    with temporary_server(options, memory) as admin:
        await migrate(admin)
        connection = await asyncpg.connect(bootstrap.with_database(admin, bootstrap.DATABASE))
        region = await fill(connection, MANY_APPEALS)
        await connection.close()
        found = {
            query.name: await _plan_errors_by_mode(
                bootstrap.with_login(admin, query.service, TEST_PASSWORD), query, region, {}
            )
            for query in FREQUENT_QUERIES
        }
    assert {name: errors for name, errors in found.items() if errors} == {}
