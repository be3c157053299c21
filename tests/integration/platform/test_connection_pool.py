"""Pooled connections that the server has closed are replaced before use."""

import asyncio
from threading import Thread
from unittest import mock

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.database import sessions
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.integration.platform.simulated_outages import read_only

PID = text("SELECT pg_backend_pid()")


async def _pid(database: Database) -> int:
    async with database.write() as session:
        return int(await session.scalar(PID))


async def _terminate(database: TestDatabase, pid: int) -> None:
    connection = await database.connect()
    await connection.execute("SELECT pg_terminate_backend($1, 60000)", pid)
    await connection.close()


def _terminate_unnoticed(database: TestDatabase, pid: int) -> None:
    """End a connection while the event loop is blocked, so that the driver does not notice."""
    thread = Thread(target=lambda: asyncio.run(_terminate(database, pid)))
    thread.start()
    thread.join()


async def test_connection_known_to_be_closed_is_replaced_without_a_ping(
    appeals_database: Database, database: TestDatabase
) -> None:
    first = await _pid(appeals_database)
    await _terminate(database, first)
    await asyncio.sleep(0)
    with mock.patch.object(appeals_database.engine.sync_engine.dialect, "do_ping") as ping:
        assert await _pid(appeals_database) != first
    ping.assert_not_called()


async def test_idle_connection_closed_by_the_server_is_replaced(
    appeals_database: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_PING_AFTER_IDLE_SECONDS", 0)
    first = await _pid(appeals_database)
    _terminate_unnoticed(database, first)
    assert await _pid(appeals_database) != first


async def test_recently_used_connection_is_not_pinged(
    appeals_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_PING_AFTER_IDLE_SECONDS", 3600)
    first = await _pid(appeals_database)
    with mock.patch.object(appeals_database.engine.sync_engine.dialect, "do_ping") as ping:
        assert await _pid(appeals_database) == first
    ping.assert_not_called()


async def test_single_statement_refused_by_a_read_only_server_is_sent_to_the_next_primary(
    appeals_database: Database, database: TestDatabase
) -> None:
    write = text(
        "INSERT INTO appeals_consumer_offsets (consumer, position) VALUES ('single', 0) RETURNING position"
    )
    async with read_only(database):
        with pytest.raises(DBAPIError, match="read-only"):
            await appeals_database.execute_alone(write)
    assert (await appeals_database.execute_alone(write)).position == 0
