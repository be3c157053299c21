"""An import while other transactions run."""

import asyncio

import asyncpg
import pytest

from services.registry.import_export.registry_snapshot import load_snapshot
from services.registry.page_checks.apply_results import apply_results
from services.registry.schemas.page_checks import PageDescriptions
from shared import clock
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, wait_until_blocked
from tests.integration.registry.import_export.conftest import csv_file, send
from tests.integration.registry.test_page_checks import PLAIN
from tests.support.service_under_test import ServiceUnderTest, insert_page

CONTENT = csv_file(["Код", "Наименование", "Ссылка ВК"], ["s1", "Школа", "vk.com/club101"])


async def stage(registry: ServiceUnderTest, database: TestDatabase) -> None:
    """Register an organisation with a page, and another that the file does not mention."""
    school = await make(registry, "/organisations", code="s1", name="Школа № 1", kind="institution")
    await insert_page(database, school["id"])
    await make(registry, "/organisations", code="s2", name="Школа № 2", kind="institution")


async def test_import_locks_do_not_block_foreign_key_checks(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    await stage(registry, database)
    other = await database.connect()
    async with registry.service.database.write() as session:
        await load_snapshot(session, lock=True)
        for table in ("organisations", "pages"):
            # A foreign key check takes this lock when a referring row is written.
            await other.execute(f"SELECT FROM {table} FOR KEY SHARE NOWAIT")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(f"SELECT FROM {table} FOR NO KEY UPDATE NOWAIT")
    await other.close()


async def test_import_does_not_wait_for_foreign_key_checks(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    await stage(registry, database)
    other, raw_connection = await database.connect(), await database.connect()
    await other.execute("BEGIN")
    await other.execute("SELECT FROM organisations FOR KEY SHARE")
    await other.execute("SELECT FROM pages FOR KEY SHARE")
    importing = asyncio.create_task(send(registry, CONTENT))
    waited = await wait_until_blocked(raw_connection, importing)
    await other.execute("ROLLBACK")
    assert (await importing).status_code == 200
    assert not waited
    await other.close()
    await raw_connection.close()


async def test_import_does_not_bring_back_a_former_name_that_is_deleted_meanwhile(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    school = await make(registry, "/organisations", code="s1", name="Школа № 1", kind="institution")
    for name in ("Гимназия", "Лицей"):
        await make(registry, f"/organisations/{school['id']}/names", kind="former", name=name)
    other, raw_connection = await database.connect(), await database.connect()
    # As `DELETE /organisations/{id}/names/{name_id}` does.
    await other.execute("BEGIN")
    await other.execute("SELECT FROM organisations WHERE code = 's1' FOR NO KEY UPDATE")
    await other.execute("DELETE FROM organisation_names WHERE name = 'Лицей'")
    file = csv_file(["Код", "Наименование", "Прежние названия"], ["s1", "Школа № 1", "Училище"])
    importing = asyncio.create_task(send(registry, file))
    assert await wait_until_blocked(raw_connection, importing)
    await other.execute("COMMIT")
    assert (await importing).status_code == 200
    rows = await raw_connection.fetch("SELECT name FROM organisation_names WHERE kind = 'former' ORDER BY name")
    assert [row["name"] for row in rows] == ["Гимназия", "Училище"]
    await other.close()
    await raw_connection.close()


async def test_deadlocked_import_gets_409_and_can_be_repeated(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    await stage(registry, database)
    first, other, raw_connection = [await database.connect() for _ in range(3)]
    # The other session does not check for a deadlock, so the database aborts the import.
    await other.execute("SET deadlock_timeout = '1h'")
    for connection in (first, other):
        await connection.execute("BEGIN")
    await first.execute("SELECT FROM organisations WHERE code = 's2' FOR UPDATE")
    await other.execute("SELECT FROM pages FOR UPDATE")
    importing = asyncio.create_task(send(registry, CONTENT))
    assert await wait_until_blocked(raw_connection, importing)
    crossing = asyncio.create_task(other.execute("SELECT FROM organisations WHERE code = 's1' FOR UPDATE"))
    assert await wait_until_blocked(raw_connection, importing, connections=2)
    await first.execute("ROLLBACK")
    answer = await importing
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    await crossing
    await other.execute("ROLLBACK")
    for connection in (first, other, raw_connection):
        await connection.close()
    assert (await send(registry, CONTENT)).status_code == 200


async def test_page_checks_lock_rows_in_the_order_of_an_import(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    school = await make(registry, "/organisations", name="Школа", kind="institution")
    page_ids = sorted([await insert_page(database, school["id"], external_id=str(number)) for number in (1, 2)])

    async def check() -> None:
        async with registry.service.database.write() as session:
            items = [{"page_id": page_id, **PLAIN} for page_id in page_ids]
            said = PageDescriptions.model_validate({"items": items, "calls": 1, "error": None})
            await apply_results(session, page_ids[::-1], said, clock.today(), clock.now())

    importing, raw_connection = await database.connect(), await database.connect()
    await importing.execute("BEGIN")
    for page_id in page_ids:
        # Lock the pages in the order of ids, as an import does; a page check starts after the first lock.
        await importing.execute("SELECT FROM pages WHERE id = $1 FOR NO KEY UPDATE NOWAIT", page_id)
        if page_id == page_ids[0]:
            checking = asyncio.create_task(check())
            assert await wait_until_blocked(raw_connection, checking)
    await importing.execute("COMMIT")
    await checking
    await importing.close()
    await raw_connection.close()
