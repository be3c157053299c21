"""Simulated outages of a database: refused connections, or read-only transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conftest import TestDatabase


async def _end_all(database: TestDatabase) -> None:
    raw_connection = await database.connect()
    await raw_connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid() AND usename != 'postgres'"
    )
    await raw_connection.close()


@asynccontextmanager
async def no_connections(database: TestDatabase) -> AsyncIterator[None]:
    """Close the services' connections and refuse new ones with "too many connections" until the block ends."""
    raw_connection = await database.connect()
    await raw_connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    await _end_all(database)
    try:
        yield
    finally:
        await raw_connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
        await raw_connection.close()


@asynccontextmanager
async def read_only(database: TestDatabase) -> AsyncIterator[None]:
    """Make the database read-only until the block ends; connections opened meanwhile stay read-only."""
    raw_connection = await database.connect()
    await raw_connection.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    await _end_all(database)
    try:
        yield
    finally:
        await raw_connection.execute("SET default_transaction_read_only = off")
        # Not RESET: a database with settings of its own is not reused but dropped, which closes its connections.
        await raw_connection.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = off")
        await raw_connection.close()
