"""Locks that allow one upgrade at a time."""

import asyncio
from collections.abc import Callable

import asyncpg

MIGRATION_LOCK = 7_305_842_961_164_203_011
# Preparing a deployment runs its migrations, perhaps in the same database, so it needs another lock.
PREPARE_LOCK = MIGRATION_LOCK + 1


async def hold_lock(connection: asyncpg.Connection, lock: int, progress: Callable[[str], None]) -> None:
    """Take an advisory lock of this database, waiting for it, and hold it until the connection closes.

    The lock is polled with separate statements: a session that waits inside `pg_advisory_lock` holds a snapshot,
    and CREATE INDEX CONCURRENTLY of the running migration would wait for it: a deadlock.
    """
    reported = False
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
        if not reported:
            progress("the database is being prepared or migrated by another process: waiting for its end")
            reported = True
        await asyncio.sleep(0.5)
