"""Alembic's entry: one history for the shared schema, run as the owner role.

`lock_timeout` and `statement_timeout` keep a migration from standing in the way of running services.
"""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.database import sqlalchemy_url
from shared.tables import Base


def _url() -> str:
    for name in ("GOSPABLIK_DATABASE_DIRECT_URL", "GOSPABLIK_DATABASE_URL"):
        if url := os.environ.get(name):
            return sqlalchemy_url(url)
    raise SystemExit("Set GOSPABLIK_DATABASE_URL to the owner's connection")


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
    engine = create_async_engine(_url())
    async with engine.connect() as connection:
        await connection.execute(text("SET lock_timeout = '5s'"))
        await connection.execute(text("SET statement_timeout = '5min'"))
        await connection.commit()
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("Migrations run online: they check what they change")
asyncio.run(_online())
