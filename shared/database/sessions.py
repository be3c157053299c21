"""Sessions for reading and for writing; each request, job or batch commits once, at its end.

A request, a job or a batch is one transaction: `Database.write()` commits when its block succeeds and rolls
back when it raises; code inside never commits. A read handler gets a `ReadSession`, whose transaction is
read-only in the database.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import stamina
from sqlalchemy import Executable, Row, event, text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from shared.database.outages import SQLSTATE_READ_ONLY, DependencyUnavailable, is_deadlock, is_outage, sqlstate

T = TypeVar("T")
# The pool size of each service process; a worker also has connections for jobs and one for LISTEN. One API and one
# worker process per service need fewer than the embedded server's 120 connections, two of each fewer than the 200
# of Compose.
POOL_SIZES = {"registry": 6, "ingest": 8, "appeals": 8, "metrics": 4, "webhooks": 5, "console": 4}
JOB_CONNECTIONS = 2
# A connection used within this time is assumed to be alive unless it was closed.
_PING_AFTER_IDLE_SECONDS = 1.0
_PING_SECONDS = 5.0


class ReadSession(AsyncSession):
    """A session whose transaction is read-only in the database."""


async def use_snapshot(session: AsyncSession) -> None:
    """Let all statements of the transaction read one snapshot. Call it before the first statement."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


class _SyncWriteSession(Session):
    """The synchronous session of a `WriteSession`, on which the audit trail listens to events."""


class WriteSession(AsyncSession):
    """A session that is committed by `Database.write`, never inside domain code."""

    sync_session_class = _SyncWriteSession


def _limiting_reads(seconds: float) -> type[asyncpg.Connection]:
    """Return a connection class with which Postgres cancels slower statements of reads (SQLSTATE 57014)."""
    # Set for the transaction, not for the connection: poolers do not allow the latter, and writers share the pool.
    # Sent together with BEGIN: a separate statement would take as long as a short read.
    set_limit = f"SET LOCAL statement_timeout = {round(seconds * 1000)};"

    class Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
        async def execute(self, query: str, *values: Any, **options: Any) -> str:
            if query.startswith("BEGIN") and " READ ONLY" in query:
                query += set_limit
            status: str = await super().execute(query, *values, **options)
            return status

    return Connection


def split_hosts(url: str) -> list[str]:
    """Return a URL for each host of `url`: `postgresql://one,two/x` names two servers, one of them writable."""
    parts = urlsplit(url)
    login, at, names = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{name}")) for name in names.split(",")]


async def connect(url: str, *, timeout_seconds: float = 5, **options: Any) -> asyncpg.Connection:
    """Connect to the first host of `url` that accepts the connection, each within `timeout_seconds`.

    With several hosts, `?target_session_attrs=read-write` skips read-only servers. asyncpg supports this too,
    but there one unresponsive host uses up the timeout of all.
    """
    failures: list[Exception] = []
    for host in split_hosts(url):
        try:
            return await asyncpg.connect(host, timeout=timeout_seconds, **options)
        except Exception as error:
            if not is_outage(error):
                raise
            failures.append(error)
    raise failures[0]


def create_engine(
    url: str,
    *,
    command_timeout: float | None = None,
    name: str,
    connection_class: type[asyncpg.Connection] = asyncpg.Connection,
    **options: Any,
) -> AsyncEngine:
    """Return an engine whose connections are made by `connect`."""
    settings = {"application_name": f"gospablik-{name}", "timezone": "UTC"}

    async def creator() -> asyncpg.Connection:
        return await connect(
            url, command_timeout=command_timeout, server_settings=settings, connection_class=connection_class
        )

    return create_async_engine("postgresql+asyncpg://", async_creator=creator, **options)


class ReadOnlyServerError(DependencyUnavailable):
    """The server is read-only: a standby, or a demoted primary."""


async def _ping(driver: asyncpg.Connection) -> None:
    # Short, because a firewall or proxy may silently drop a connection that was idle for hours.
    await driver.execute("SELECT 1", timeout=_PING_SECONDS)


class Database:
    """A connection pool with one service's role."""

    def __init__(self, url: str, pool_size: int, *, name: str, read_timeout_seconds: float | None = None) -> None:
        limited = asyncpg.Connection if read_timeout_seconds is None else _limiting_reads(read_timeout_seconds)
        self.engine = create_engine(
            url,
            command_timeout=30,
            name=name,
            connection_class=limited,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_use_lifo=True,  # reuse the connection used last, which seldom needs a ping
            hide_parameters=True,  # names, texts and hashes must not appear in tracebacks
        )
        self._writers = async_sessionmaker(self.engine, class_=WriteSession, expire_on_commit=False)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        readonly = self.engine.execution_options(postgresql_readonly=True)
        self._readers = async_sessionmaker(readonly, class_=ReadSession, expire_on_commit=False)
        # Connections of an earlier generation are replaced at their next checkout.
        self._generation = 0
        event.listen(self.engine.sync_engine, "connect", self._on_connect)
        event.listen(self.engine.sync_engine, "checkin", self._on_checkin)
        event.listen(self.engine.sync_engine, "checkout", self._on_checkout)

    def _on_connect(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info.update(generation=self._generation, used_at=time.monotonic())

    def _on_checkin(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    def _on_checkout(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info["generation"] != self._generation:
            raise DisconnectionError("the connection may lead to a read-only server")
        if not self._is_alive(connection, time.monotonic() - record.info["used_at"]):
            # Every idle connection is replaced, not only this one.
            raise InvalidatePoolError("the server closed the connection")

    def _is_alive(self, connection: DBAPIConnection, idle_seconds: float) -> bool:
        """Return whether a pooled connection can be used: it is open and, if it was idle, answers a ping."""
        if self.engine.sync_engine.dialect.get_driver_connection(connection).is_closed():
            return False
        if idle_seconds < _PING_AFTER_IDLE_SECONDS:
            return True
        try:
            # One round trip, while SQLAlchemy's own ping begins and ends a transaction.
            cast("AsyncAdapt_asyncpg_connection", connection).run_async(_ping)
        except Exception as error:
            if is_outage(error) or isinstance(error, asyncpg.InterfaceError):
                return False
            raise
        return True

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Run a read-only transaction."""
        async with self._readers() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Run a transaction: committed when the block ends, rolled back when it raises.

        If the server is read-only, the whole pool reconnects, because another server may be the primary now.
        """
        try:
            async with self._writers() as session, session.begin():
                yield session
        except Exception as error:
            if sqlstate(error) == SQLSTATE_READ_ONLY or isinstance(error, ReadOnlyServerError):
                self._generation += 1
            raise

    async def execute_alone(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Row[Any]:
        """Execute one statement in its own transaction, in one round trip; return its only row.

        Used by loops that mostly find nothing: an explicit transaction would take three times as long.
        """
        try:
            async with self._autocommit.connect() as connection:
                return (await connection.execute(statement, values or {})).one()
        except Exception as error:
            if sqlstate(error) == SQLSTATE_READ_ONLY:
                self._generation += 1
            raise

    async def ping(self) -> None:
        """Raise the driver's error if the database does not respond, `ReadOnlyServerError` if it is read-only."""
        async with self.write() as session:
            if await session.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                raise ReadOnlyServerError("the server is read-only")

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


async def retry_on_deadlock(session: WriteSession, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in a savepoint and retry it after a deadlock.

    The savepoint is rolled back and its locks released; earlier changes of the transaction are kept. After four
    attempts the deadlock error is raised.
    """
    async for attempt in stamina.retry_context(on=is_deadlock, attempts=4, wait_initial=0.05, wait_max=0.5):
        with attempt:
            async with session.begin_nested():
                return await work()
    raise AssertionError("the last attempt returns or raises")


_WAIT_FOR_STANDBY = text(
    "SELECT set_config('synchronous_commit', 'on', true)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)


async def wait_for_standby_commit(session: WriteSession) -> None:
    """Make the commit wait for the standby in `synchronous_standby_names`.

    Used for changes that a failover must not lose. A stricter setting of the server, such as
    `remote_apply`, is kept.
    """
    await session.execute(_WAIT_FOR_STANDBY)


async def driver_connection(session: AsyncSession) -> asyncpg.Connection:
    """Return the asyncpg connection of a session, inside the session's transaction.

    SQLAlchemy begins the transaction with its first statement: before that, the raw connection is in autocommit
    mode and its changes would survive a rollback. Therefore a statement is sent first.
    """
    await session.execute(text("SELECT 1"))
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    if driver is None or not driver.is_in_transaction():
        raise RuntimeError("the session has no open transaction on its driver connection")
    return driver
