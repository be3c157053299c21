"""Sessions: one for reading, one for writing, and one commit at the edge.

A request, a job or a batch is one transaction: `Database.write()` commits when its block ends well and rolls
back when it raises; code inside never commits. A read handler gets a `ReadSession`, which the database itself
refuses to write with.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import stamina
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from shared.database.outages import READ_ONLY, Unavailable, is_deadlock, is_outage, sqlstate

T = TypeVar("T")
# Connections of a service process: its pool of sessions; a worker has its jobs' and one for wake-ups besides.
# The sum stays below Postgres' own limit of 100 also when Compose runs API and worker of each service apart.
POOL_SIZES = {"registry": 6, "ingest": 8, "appeals": 8, "metrics": 4, "webhooks": 5}
JOB_CONNECTIONS = 2


class ReadSession(AsyncSession):
    """A session whose transaction is read-only in the database."""


class _SyncWriteSession(Session):
    """What a `WriteSession` stands on: the audit trail listens to it, and to no other."""


class WriteSession(AsyncSession):
    """A session that commits at the edge, never inside domain code."""

    sync_session_class = _SyncWriteSession


def _limit_reads(readonly: AsyncEngine, seconds: float) -> None:
    """Have the database end a statement of a read that takes longer: `SQLSTATE` 57014."""
    statement = f"SET LOCAL statement_timeout = {round(seconds * 1000)}"

    # In the transaction, not at the connection: a pooler takes no such parameter, and writers use the same pool.
    @event.listens_for(readonly.sync_engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def hosts(url: str) -> list[str]:
    """Return a URL for each host of `url`: `postgresql://one,two/x` names two servers; one takes writes."""
    parts = urlsplit(url)
    login, at, names = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{name}")) for name in names.split(",")]


async def connect(url: str, *, patience: float = 5, **options: Any) -> asyncpg.Connection:
    """Connect to the first host of `url` that takes us; each has `patience` seconds.

    With several hosts, `?target_session_attrs=read-write` refuses one that takes no writes. asyncpg knows both,
    but there one silent host uses up the time of all.
    """
    failures: list[Exception] = []
    for host in hosts(url):
        try:
            return await asyncpg.connect(host, timeout=patience, **options)
        except Exception as error:
            if not is_outage(error):
                raise
            failures.append(error)
    raise failures[0]


def engine_of(url: str, *, command_timeout: float | None = None, name: str, **options: Any) -> AsyncEngine:
    """Make an engine whose connections go where `connect` leads."""
    settings = {"application_name": f"gospablik-{name}", "timezone": "UTC"}

    async def creator() -> asyncpg.Connection:
        return await connect(url, command_timeout=command_timeout, server_settings=settings)

    return create_async_engine("postgresql+asyncpg://", async_creator=creator, **options)


class ReadOnlyServer(Unavailable):
    """The server takes no writes: a standby, or one that was demoted."""


class Database:
    """One pool of one service's role."""

    def __init__(self, url: str, pool_size: int, *, name: str, read_seconds: float | None = None) -> None:
        self.engine = engine_of(
            url,
            command_timeout=30,
            name=name,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            hide_parameters=True,  # names, texts and hashes have no place in a traceback
        )
        self._writers = async_sessionmaker(self.engine, class_=WriteSession, expire_on_commit=False)
        readonly = self.engine.execution_options(postgresql_readonly=True)
        if read_seconds is not None:
            _limit_reads(readonly, read_seconds)
        self._readers = async_sessionmaker(readonly, class_=ReadSession, expire_on_commit=False)
        # Connections of an earlier generation are replaced before their next use.
        self._generation = 0
        event.listen(self.engine.sync_engine, "connect", self._made)
        event.listen(self.engine.sync_engine, "checkout", self._taken)

    def _made(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info["generation"] = self._generation

    def _taken(self, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info["generation"] != self._generation:
            raise DisconnectionError("the server it leads to took no writes")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A read-only transaction."""
        async with self._readers() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        When the server turns out to take no writes, the whole pool connects anew: another may be in its place.
        """
        try:
            async with self._writers() as session, session.begin():
                yield session
        except Exception as error:
            if sqlstate(error) == READ_ONLY or isinstance(error, ReadOnlyServer):
                self._generation += 1
            raise

    async def ping(self) -> None:
        """Raise when the database does not answer, `ReadOnlyServer` when it takes no writes."""
        async with self.write() as session:
            if await session.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                raise ReadOnlyServer("the server takes no writes")

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()


async def uncrossed(session: WriteSession, work: Callable[[], Awaitable[T]]) -> T:
    """Do `work`, and do it again if Postgres ended it because it and somebody else waited for each other.

    What it did and locked until then is undone; what the transaction did before it stays. After four tries the
    error goes on.
    """
    async for attempt in stamina.retry_context(on=is_deadlock, attempts=4, wait_initial=0.05, wait_max=0.5):
        with attempt:
            async with session.begin_nested():
                return await work()
    raise AssertionError("the last attempt returns or raises")


_COMMIT_ON_STANDBY = text(
    "SELECT set_config('synchronous_commit', 'on', true)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)


async def commit_on_standby(session: WriteSession) -> None:
    """Let this transaction's commit wait for the standby that the server names in `synchronous_standby_names`.

    For what a failover must not lose. A server that waits for more than that (`remote_apply`) goes on doing so.
    """
    await session.execute(_COMMIT_ON_STANDBY)


async def driver_connection(session: AsyncSession) -> asyncpg.Connection:
    """The asyncpg connection of a session, inside the session's transaction.

    SQLAlchemy opens the transaction with its first own statement: used before that, the raw connection would
    be in autocommit and what it wrote would survive a rollback. So a statement goes first.
    """
    await session.execute(text("SELECT 1"))
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    if driver is None or not driver.is_in_transaction():
        raise RuntimeError("the session has no open transaction on its driver connection")
    return driver
