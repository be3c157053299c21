"""The Alembic environment: one history for the shared schema, run as the owner role.

`lock_timeout` and `statement_timeout` keep a migration from blocking running services; indexes of large tables are
built by `migrations/indexes.py`. A second upgrade waits for the first and finds nothing to do.
"""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text

from migrations.indexes import TIMEOUTS
from migrations.lock import MIGRATION_LOCK, hold_lock
from shared.database.sessions import create_engine
from shared.tables.all_tables import Base


def _url() -> str:
    for name in ("GOSPABLIK_DATABASE_DIRECT_URL", "GOSPABLIK_DATABASE_URL"):
        if url := os.environ.get(name):
            return url
    raise SystemExit(
        "Set GOSPABLIK_DATABASE_URL (or GOSPABLIK_DATABASE_DIRECT_URL) to a URL with the database owner's login"
    )


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name is None,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _online() -> None:
    engine = create_engine(_url(), name="migrations")
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await hold_lock(driver, MIGRATION_LOCK, context.config.print_stdout)
        for name, value in TIMEOUTS.items():
            await connection.execute(text(f"SET {name} = '{value}'"))
        await connection.commit()
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("Migrations cannot run offline: they read the database")
asyncio.run(_online())
