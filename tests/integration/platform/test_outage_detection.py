"""Which errors of a real server, with and without SQLAlchemy, count as outages."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from shared.database.outages import is_outage, is_timeout, sqlstate
from shared.database.sessions import Database, WriteSession, driver_connection
from tests.conftest import TestDatabase
from tests.support.eventually import HANG_SECONDS

CURSOR = "INSERT INTO appeals_consumer_offsets (consumer, position) VALUES ('one', :position)"


async def _failure(database: Database, statement: str, **values: object) -> Exception:
    try:
        async with database.write() as session:
            await session.execute(text(statement), values)
    except Exception as error:  # noqa: BLE001 — any error is the result
        return error
    raise AssertionError("the statement did not fail")


async def _terminate(session: WriteSession, raw_connection: asyncpg.Connection) -> None:
    """Terminate the session's connection on the server and wait until the driver notices."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    connection = (await (await session.connection()).get_raw_connection()).driver_connection
    assert connection is not None
    await raw_connection.execute("SELECT pg_terminate_backend($1)", pid)
    async with asyncio.timeout(HANG_SECONDS):
        while not connection.is_closed():
            await asyncio.sleep(0.01)


async def test_invalid_values_are_not_outages(appeals_database: Database) -> None:
    for value in ("no number", 2**70, "\ud800"):
        error = await _failure(appeals_database, CURSOR, position=value)
        assert not is_outage(error), repr(error)
        assert sqlstate(error) == "22000"
    assert not is_outage(await _failure(appeals_database, "SELECT CAST(:value AS text)", value="\x00"))
    twice = await _failure(appeals_database, f"{CURSOR}, ('one', 2)", position=1)
    assert sqlstate(twice) == "23505"
    assert not is_outage(twice)


async def test_lost_connection_is_an_outage_at_every_step(
    appeals_database: Database, database: TestDatabase
) -> None:
    raw_connection = await database.connect()
    with pytest.raises(DBAPIError) as in_statement:
        async with appeals_database.write() as session:
            await _terminate(session, raw_connection)
            await session.execute(text("SELECT 1"))
    with pytest.raises(DBAPIError) as at_commit:
        async with appeals_database.write() as session:
            await _terminate(session, raw_connection)
    with pytest.raises(PendingRollbackError) as afterwards:
        async with appeals_database.write() as session:
            await _terminate(session, raw_connection)
            with pytest.raises(DBAPIError):
                await session.execute(text("SELECT 1"))
            await session.execute(text("SELECT 1"))
    terminated = await _failure(appeals_database, "SELECT pg_terminate_backend(pg_backend_pid())")
    for error in (in_statement.value, at_commit.value, afterwards.value, terminated):
        assert is_outage(error), repr(error)
    await raw_connection.close()


async def test_connection_limit_or_read_only_server_is_an_outage(
    appeals_database: Database, database: TestDatabase
) -> None:
    with pytest.raises(DBAPIError) as read_only:
        async with appeals_database.write() as session:
            await session.execute(text("SET LOCAL transaction_read_only = on"))
            await session.execute(text(CURSOR), {"position": 1})
    assert sqlstate(read_only.value) == "25006"
    assert is_outage(read_only.value)
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as none_writes:
        await asyncpg.connect(database.url("appeals") + "?target_session_attrs=standby")
    assert is_outage(none_writes.value)

    raw_connection = await database.connect()
    await raw_connection.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    # The pool of the fixture may hold open connections; only a new connection is refused by the limit.
    full = await _failure(Database(database.url("appeals"), 1, name="test"), "SELECT 1")
    assert sqlstate(full) == "53300"
    assert is_outage(full)
    with pytest.raises(asyncpg.TooManyConnectionsError) as of_driver:
        await asyncpg.connect(database.url("appeals"))
    assert is_outage(of_driver.value)
    await raw_connection.close()


async def test_slow_statement_is_a_timeout(appeals_database: Database) -> None:
    with pytest.raises(DBAPIError) as ended_by_the_server:
        async with appeals_database.write() as session:
            await session.execute(text("SET LOCAL statement_timeout = 50"))
            await session.execute(text("SELECT pg_sleep(5)"))
    assert is_timeout(ended_by_the_server.value)
    with pytest.raises(TimeoutError) as ended_by_the_driver:
        async with appeals_database.write() as session:
            await (await driver_connection(session)).execute("SELECT pg_sleep(5)", timeout=0.05)
    assert is_timeout(ended_by_the_driver.value)


async def test_unreachable_host_is_an_outage() -> None:
    for host in ("localhost:1", "no.such.host.invalid:5432"):
        unreachable = Database(f"postgresql://appeals:x@{host}/gospablik", 1, name="test")
        assert is_outage(await _failure(unreachable, "SELECT 1"))
        await unreachable.close()
