"""Reuse databases and connections between tests: each test leaves them as it found them.

Copying the migrated database, connecting, compiling and preparing statements cost more than most tests do. So a
database is emptied instead of dropped: rows that the migrations made are restored, and sequences reset. A database
that a test changed in any other way (its schema, its statistics, a connection or a lock left behind) is dropped.
"""

import asyncio
import io
import secrets
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from cli.deployment import provisioning as bootstrap
from shared.database.sessions import Database

_TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1"""
_SEQUENCES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1"""
# Every change of the schema changes a row in one of these catalogues.
_CATALOGUES = (
    "pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_default_acl", "pg_event_trigger",
    "pg_extension", "pg_index", "pg_policy", "pg_proc", "pg_rewrite", "pg_statistic", "pg_statistic_ext",
    "pg_trigger", "pg_type",
)  # fmt: skip
# Dead rows slow down table scans, so a database is dropped after this many uses.
_USES = 60


def _version(table: str) -> str:
    return f"(SELECT count(*) || '/' || coalesce(max(xmin::text::bigint), 0) FROM {table})"


def _changes(table: str) -> str:
    # Comparing ages is much cheaper than converting every xmin, and some catalogues have thousands of rows.
    return f"(SELECT count(*) || '/' || count(*) FILTER (WHERE age(xmin) <= age($1::xid)) FROM {table})"


# The schema's version: how many rows each catalogue has, and how many of them were written since transaction $1.
_SCHEMA = (
    "SELECT concat_ws(' ', "
    + ", ".join(_changes(name) for name in _CATALOGUES)
    + """
    , (SELECT count(*) || '/' || max(xmin::text::bigint) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp')
    , (SELECT concat(datacl, datconnlimit, datallowconn) FROM pg_database WHERE datname = current_database())
    , (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
       WHERE d.datname = current_database())
    , (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE l.locktype = 'advisory' AND d.datname = current_database()))"""
)
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


class KeptDatabase(Database):
    """A pool that stays connected after `close`, until its database is dropped."""

    keeper: "Keeper"
    key: tuple[Any, ...]

    async def close(self) -> None:
        """Leave the connections for the next test; close them when one is still in use."""
        if not self.keeper.put_back(self):
            await super().close()

    async def end(self) -> None:
        """Close the connections."""
        await super().close()


class KeptConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A raw connection that `close` gives back to its keeper."""

    keeper: "Keeper"
    url: str
    is_free = False

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 — asyncpg's own signature
        """Leave the connection for the next test; close it if it cannot be reset."""
        if not await self.keeper.put_back_connection(self):
            await super().close(timeout=timeout)


@dataclass
class Keeper:
    """Pools by their arguments and event loop, and raw connections by their address."""

    _free: dict[tuple[Any, ...], list[KeptDatabase]] = field(default_factory=dict)
    _free_connections: dict[str, list[KeptConnection]] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def __call__(self, url: str, pool_size: int, **options: Any) -> Database:
        """Return a `Database(url, pool_size, **options)`, reused if one is free."""
        key = (url, pool_size, *sorted(options.items()), id(asyncio.get_running_loop()))
        if free := self._free.get(key):
            return free.pop()
        made = KeptDatabase(url, pool_size, **options)
        made.keeper, made.key = self, key
        return made

    def put_back(self, database: KeptDatabase) -> bool:
        """Keep a pool for reuse; return False if a connection of it is still in use."""
        if database.engine.pool.checkedout():  # type: ignore[attr-defined]  # a `QueuePool`
            return False
        self._free.setdefault(database.key, []).append(database)
        return True

    async def connect(self, url: str) -> asyncpg.Connection:
        """Return a raw connection, reused if one is free."""
        if asyncio.get_running_loop() is not self._loop:
            return await asyncpg.connect(url)
        free = self._free_connections.get(url, [])
        while free:
            kept = free.pop()
            kept.is_free = False
            if not kept.is_closed():
                return kept
        made = await asyncpg.connect(url, connection_class=KeptConnection)
        made.keeper, made.url = self, url
        return made

    async def put_back_connection(self, connection: KeptConnection) -> bool:
        """Keep a raw connection for reuse; return False if it is closed or cannot be reset."""
        if connection.is_free:
            return True
        if connection.is_closed():
            return False
        try:
            await connection.reset(timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return False
        connection.is_free = True
        self._free_connections.setdefault(connection.url, []).append(connection)
        return True

    def connections(self, name: str) -> int:
        """Return the number of connections kept to a database."""
        pooled = sum(kept.engine.pool.checkedin() for kept in self._of(name))  # type: ignore[attr-defined]
        return pooled + sum(not kept.is_closed() for kept in self._connections_of(name))

    async def end(self, name: str) -> None:
        """Close the pools and connections kept for a database."""
        for kept in self._of(name):
            await kept.end()
        for connection in self._connections_of(name):
            connection.terminate()
        self._free = {key: kept for key, kept in self._free.items() if not key[0].endswith(f"/{name}")}
        self._free_connections = {
            url: kept for url, kept in self._free_connections.items() if not url.endswith(f"/{name}")
        }

    def _connections_of(self, name: str) -> list[KeptConnection]:
        return [one for url, kept in self._free_connections.items() if url.endswith(f"/{name}") for one in kept]

    def _of(self, name: str) -> list[KeptDatabase]:
        return [one for key, kept in self._free.items() if key[0].endswith(f"/{name}") for one in kept]


@dataclass
class Spare:
    """A database between tests, with the versions of its schema and seed rows when it was new.

    `made_by` is a transaction that began when it was new.
    """

    name: str
    control: asyncpg.Connection
    made_by: int
    schema: str
    seeded: dict[str, str]
    uses: int = 1


class Databases:
    """The databases of one test process, all on one server whose `gospablik` is the template."""

    def __init__(self, admin_url: str, keeper: Keeper) -> None:
        self._admin_url = admin_url
        self._keeper = keeper
        self._spare: list[Spare] = []
        self._tables: list[str] = []
        self._seeds: dict[str, bytes] = {}
        self._sequences: dict[str, tuple[int, bool]] = {}

    async def take(self) -> Spare:
        """Return a database with all migrations applied and no other changes."""
        if self._spare:
            spare = self._spare.pop()
            spare.uses += 1
            return spare
        name = f"test_{secrets.token_hex(6)}"
        admin = await asyncpg.connect(self._admin_url)
        try:
            await admin.execute(
                f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER} STRATEGY FILE_COPY"
            )
        finally:
            await admin.close()
        control = await asyncpg.connect(bootstrap.with_database(self._admin_url, name))
        if not self._tables:
            await self._learn(control)
        spare = Spare(name, control, await control.fetchval("SELECT pg_current_xact_id()::xid"), "", {})
        spare.seeded = await self._seeded(spare)
        spare.schema = await control.fetchval(_SCHEMA, spare.made_by)
        return spare

    async def give_back(self, spare: Spare) -> None:
        """Empty a database for the next test, or drop it."""
        if await self._unchanged(spare):
            await self._empty(spare)
            self._spare.append(spare)
        else:
            await self.drop(spare)

    async def drop(self, spare: Spare) -> None:
        """Drop a database, even if clients are connected."""
        await self._keeper.end(spare.name)
        spare.control.terminate()
        admin = await asyncpg.connect(self._admin_url)
        try:
            await admin.execute(f"DROP DATABASE {spare.name} WITH (FORCE)")
        finally:
            await admin.close()

    async def end(self) -> None:
        """Drop all spare databases."""
        for spare in self._spare:
            await self.drop(spare)

    async def _learn(self, control: asyncpg.Connection) -> None:
        self._tables = [row[0] for row in await control.fetch(_TABLES)]
        for table in self._tables:
            copied = io.BytesIO()
            await control.copy_from_query(f"SELECT * FROM {table}", output=copied, format="binary")
            if await control.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
                self._seeds[table] = copied.getvalue()
        for row in await control.fetch(_SEQUENCES):
            self._sequences[row[0]] = tuple(await control.fetchrow(f"SELECT last_value, is_called FROM {row[0]}"))

    async def _seeded(self, spare: Spare) -> dict[str, str]:
        row = await spare.control.fetchrow("SELECT " + ", ".join(map(_version, self._seeds)))
        return dict(zip(self._seeds, row, strict=True))

    async def _unchanged(self, spare: Spare) -> bool:
        """Return whether emptying restores the database: nobody else is connected, and only rows have changed."""
        if spare.control.is_closed() or spare.uses >= _USES:
            return False
        if await spare.control.fetchval(_OTHERS) != self._keeper.connections(spare.name):
            return False
        return bool(await spare.control.fetchval(_SCHEMA, spare.made_by) == spare.schema)

    async def _empty(self, spare: Spare) -> None:
        """Delete all rows, restore those of the migrations, and reset sequences."""
        plain = [table for table in self._tables if table not in self._seeds]
        filled = await spare.control.fetchrow(
            "SELECT " + ", ".join(f"EXISTS (SELECT FROM {table})" for table in plain)
        )
        now = await self._seeded(spare)
        changed = [table for table in self._seeds if now[table] != spare.seeded[table]]
        statements = ["SET session_replication_role = replica"]
        statements += [f"DELETE FROM {table}" for table, found in zip(plain, filled, strict=True) if found]
        statements += [f"DELETE FROM {table}" for table in changed]
        statements += [
            f"SELECT setval('{name}', {value}, {str(called).lower()})"
            for name, (value, called) in self._sequences.items()
        ]
        await spare.control.execute("; ".join(statements))
        for table in changed:
            schema, _, name = table.partition(".")
            await spare.control.copy_to_table(
                name.strip('"'),
                schema_name=schema.strip('"'),
                source=io.BytesIO(self._seeds[table]),
                format="binary",
            )
        if changed:
            spare.seeded = await self._seeded(spare)
