"""Lists do not slow down as the years pass."""

import secrets
from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from shared.database.sessions import Database
from tests.conftest import MEMORY, OPTIONS, TestDatabase
from tests.integration.data_growth.frequent_queries import HOT, Hot
from tests.integration.data_growth.large_dataset import Region, fill
from tests.integration.data_growth.query_plans import explain, faults

# Of a small table the planner reads all; of a large one it does not.
AS_IF_LARGE = {"enable_seqscan": "off"}

Filled = tuple[TestDatabase, Region]


@pytest.fixture(scope="module")
async def filled(template: str) -> AsyncIterator[Filled]:
    """Twenty thousand appeals with all that belongs to them."""
    name = f"growth_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(template)
    await admin.execute(
        f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER} STRATEGY FILE_COPY"
    )
    database = TestDatabase(template, name)
    connection = await database.connect()
    try:
        yield database, await fill(connection, 20_000)
    finally:
        await connection.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _faults(url: str, hot: Hot, region: Region, settings: Mapping[str, str]) -> dict[str, list[str]]:
    reader = Database(url, 1, name="growth")
    try:
        return {
            mode: wrong
            for mode in hot.modes
            if (wrong := faults(await explain(reader, lambda asked: hot.work(asked, region), mode, settings), hot))
        }
    finally:
        await reader.close()


@pytest.mark.parametrize("hot", HOT, ids=lambda hot: hot.name)
async def test_list_reads_what_it_shows_and_little_more(filled: Filled, hot: Hot) -> None:
    database, region = filled
    assert await _faults(database.url(hot.service), hot, region, AS_IF_LARGE) == {}


@pytest.mark.long
async def test_lists_of_a_million_appeals_read_what_they_show_and_little_more() -> None:
    memory = MEMORY if MEMORY.is_dir() else None
    options = (*OPTIONS, "max_wal_size=2GB", "shared_buffers=512MB", "maintenance_work_mem=256MB")
    with temporary_server(options, memory) as admin:
        await migrate(admin)
        connection = await asyncpg.connect(bootstrap.with_database(admin, bootstrap.DATABASE))
        region = await fill(connection, 1_000_000)
        await connection.close()
        found = {
            hot.name: await _faults(bootstrap.with_login(admin, hot.service, TEST_PASSWORD), hot, region, {})
            for hot in HOT
        }
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
