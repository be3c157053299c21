"""A database that is away for a while: full, or taking no writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conftest import TestDatabase


async def _end_all(database: TestDatabase) -> None:
    eye = await database.connect()
    await eye.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid() AND usename != 'postgres'"
    )
    await eye.close()


@asynccontextmanager
async def full(database: TestDatabase) -> AsyncIterator[None]:
    """Within the block the services' connections are ended and new ones refused with "too many connections"."""
    eye = await database.connect()
    await eye.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    await _end_all(database)
    try:
        yield
    finally:
        await eye.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
        await eye.close()


@asynccontextmanager
async def read_only(database: TestDatabase) -> AsyncIterator[None]:
    """Within the block the database takes no writes; connections made meanwhile stay read-only after it."""
    eye = await database.connect()
    await eye.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    await _end_all(database)
    try:
        yield
    finally:
        await eye.execute("SET default_transaction_read_only = off")
        await eye.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")
        await eye.close()
