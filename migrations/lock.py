"""One upgrade at a time."""

import asyncio
from collections.abc import Callable

import asyncpg

MIGRATION_LOCK = 7_305_842_961_164_203_011
# Preparing a deployment covers its migrations, and may be asked for in the same database.
PREPARE_LOCK = MIGRATION_LOCK + 1


async def hold_lock(connection: asyncpg.Connection, lock: int, progress: Callable[[str], None]) -> None:
    """Hold an advisory lock of this database until the connection closes; wait for whoever has it.

    It is asked for again and again, each time in a statement of its own: a session that waits inside
    `pg_advisory_lock` holds a snapshot, for which CREATE INDEX CONCURRENTLY of the one that works waits in turn.
    """
    told = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
        if not told:
            progress("the database is being prepared or migrated by another process: waiting for its end")
            told = True
        await asyncio.sleep(0.5)
