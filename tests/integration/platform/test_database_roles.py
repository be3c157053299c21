"""Each service's database role can write only the tables it owns."""

import asyncpg
import pytest

from shared.tables.all_tables import Base
from shared.tables.ownership import OWNER_ONLY_TABLES, RESTRICTED_COLUMNS, SHARED_COLUMNS, TABLE_OWNERS
from tests.conftest import API_SERVICES, TestDatabase

PAIRS = [(role, table) for role in API_SERVICES for table in sorted(TABLE_OWNERS) if TABLE_OWNERS[table] != role]


def test_every_table_has_an_owner() -> None:
    assert set(Base.metadata.tables) == set(TABLE_OWNERS) | {
        "events",
        "audit",
        "feed_epochs",
        "personal_data_reads",
    }


async def test_role_cannot_write_tables_of_other_services(database: TestDatabase) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            for other, table in PAIRS:
                if other != role:
                    continue
                column = next(iter(Base.metadata.tables[table].columns)).name
                for statement in (
                    f"INSERT INTO {table} DEFAULT VALUES",
                    f"UPDATE {table} SET {column} = {column}",
                    f"DELETE FROM {table}",
                    f"TRUNCATE {table}",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
        finally:
            await connection.close()


async def test_role_can_use_only_its_own_queue(database: TestDatabase) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            for service in API_SERVICES:
                # The tables are read from the catalogue, so that tables added later are tested too.
                tables = await connection.fetch(
                    "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'",
                    f"{service}_jobs",
                )
                assert tables
                for (table,) in tables:
                    name = f"{service}_jobs.{table}"
                    if service == role:
                        await connection.execute(f"SELECT FROM {name}")
                        continue
                    for statement in (f"SELECT FROM {name}", f"INSERT INTO {name} DEFAULT VALUES"):
                        with pytest.raises(asyncpg.InsufficientPrivilegeError):
                            await connection.execute(statement)
        finally:
            await connection.close()


async def test_restricted_columns_are_readable_only_by_their_owner(database: TestDatabase) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            for table, columns in RESTRICTED_COLUMNS.items():
                shown = [c.name for c in Base.metadata.tables[table].columns if c.name not in columns]
                await connection.execute(f"SELECT {', '.join(shown)} FROM {table}")
                for column in columns:
                    statement = f"SELECT {column} FROM {table}"
                    if role in {TABLE_OWNERS[table], SHARED_COLUMNS.get((table, column))}:
                        await connection.execute(statement)
                        continue
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
        finally:
            await connection.close()


async def test_owner_only_tables_are_not_readable_by_other_services(database: TestDatabase) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            for table in OWNER_ONLY_TABLES:
                if TABLE_OWNERS[table] == role:
                    await connection.execute(f"SELECT * FROM {table}")
                    continue
                for column in Base.metadata.tables[table].columns:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(f"SELECT {column.name} FROM {table}")
        finally:
            await connection.close()


async def test_console_reads_only_its_own_tables(database: TestDatabase) -> None:
    connection = await database.connect("console")
    try:
        for table in Base.metadata.tables.values():
            column = next(iter(table.columns)).name
            if TABLE_OWNERS.get(table.name) == "console":
                await connection.execute(f"UPDATE {table.name} SET {column} = {column}")
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT {column} FROM {table.name}")
    finally:
        await connection.close()


async def test_recent_events_cannot_be_purged(database: TestDatabase) -> None:
    admin = await database.connect()
    await admin.execute("""
        INSERT INTO events (id, position, type, subject_id, actor, occurred_at, created_at, data)
        SELECT gen_random_uuid(), n, 'appeal.opened', gen_random_uuid(), 'appeals', now(), now(), '{}'
        FROM generate_series(1, 3) n
    """)
    for role in API_SERVICES:
        connection = await database.connect(role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT purge_events(2)")
        await connection.close()
    assert await admin.fetchval("SELECT count(*) FROM events") == 3
    await admin.close()


async def test_events_and_audit_rows_cannot_be_changed_or_deleted(database: TestDatabase) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            for statement in (
                "UPDATE events SET type = 'x'",
                "DELETE FROM events",
                "TRUNCATE events",
                "UPDATE audit SET action = 'x'",
                "DELETE FROM audit",
                "TRUNCATE audit",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()


async def test_personal_data_reads_cannot_be_changed_and_are_readable_only_by_registry(
    database: TestDatabase,
) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            await connection.execute(
                """INSERT INTO personal_data_reads
                       (id, read_at, service, actor, role, action, subject_kind, subject_ids, subject_count)
                   VALUES (gen_random_uuid(), now(), 'appeals', 'a', 'head', 'get_appeal', 'appeal', '{}', 0)"""
            )
            statements = ["UPDATE personal_data_reads SET actor = 'x'", "TRUNCATE personal_data_reads"]
            if role == "registry":
                await connection.execute("SELECT * FROM personal_data_reads")
            else:
                statements += ["SELECT id FROM personal_data_reads", "DELETE FROM personal_data_reads"]
            for statement in statements:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()


async def test_only_ingest_may_erase_events(database: TestDatabase) -> None:
    for role in API_SERVICES:
        connection = await database.connect(role)
        try:
            if role == "ingest":
                assert await connection.fetchval("SELECT erase_events('{}')") == 0
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("SELECT erase_events('{}')")
        finally:
            await connection.close()


async def test_migrations_create_the_declared_tables(database: TestDatabase) -> None:
    connection = await database.connect()
    try:
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
    finally:
        await connection.close()
    found = {(row["table_name"], row["column_name"]) for row in rows if row["table_name"] != "alembic_version"}
    declared = {(table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns}
    assert found == declared
