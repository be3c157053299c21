"""Create the database and its owner before the migrations run, and the services' login roles after them."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from shared.database.outages import is_outage
from shared.database.sessions import connect

DATABASE = "gospablik"
OWNER = "gospablik_owner"

# The builtin provider folds Cyrillic the same way everywhere, but pg_trgm and the full-text parser
# still use LC_CTYPE to recognise letters, so it must be UTF-8 too; its name differs between systems.
_CTYPES = ("C.UTF-8", "C.utf8", "en_US.UTF-8", "ru_RU.UTF-8", "UTF-8")


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


def with_login(url: str, role: str, password: str, database: str = DATABASE) -> str:
    """Return the URL of the same server or servers with a different role, password and database."""
    parts = urlsplit(url)
    names = parts.netloc.rpartition("@")[2].split(",")
    servers = ",".join(name if re.search(r":\d+$", name) else f"{name}:5432" for name in names)
    netloc = f"{quote(role, safe='')}:{quote(password, safe='')}@{servers}"
    return urlunsplit((parts.scheme, netloc, f"/{database}", parts.query, ""))


async def wait_until_ready(
    admin_url: str,
    *,
    is_alive: Callable[[], bool],
    progress: Callable[[str], None],
    progress_interval: float = 5.0,
) -> None:
    """Wait until the server accepts connections; a recovery after a crash may take minutes.

    `progress` gets the last connection error every few seconds. Raises DatabaseError if `is_alive` returns False.
    """
    last_progress = time.monotonic()
    while True:
        try:
            connection = await connect(admin_url, timeout_seconds=10)
        except Exception as error:
            if not is_outage(error):
                raise
            if not is_alive():
                raise DatabaseError("Postgres stopped before it accepted a connection") from error
            if time.monotonic() - last_progress >= progress_interval:
                last_progress = time.monotonic()
                progress(str(error) or type(error).__name__)
            await asyncio.sleep(0.1)
        else:
            await connection.close()
            return


async def ensure_database(admin_url: str, owner_password: str) -> bool:
    """Create the owner role and the database. Return whether the database was created now.

    Raises DatabaseError for a database whose locale does not support Cyrillic.
    """
    connection = await connect(admin_url)
    try:
        await _ensure_login(connection, OWNER, owner_password, "CREATEROLE")
        exists = await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE)
        if not exists:
            await _create_database(connection)
    finally:
        await connection.close()
    owner = await connect(with_login(admin_url, OWNER, owner_password))
    try:
        await check_cyrillic_support(owner)
    finally:
        await owner.close()
    return not exists


async def check_cyrillic_support(connection: asyncpg.Connection) -> None:
    """Raise DatabaseError unless case, ILIKE, full text and trigrams work on Cyrillic."""
    row = await connection.fetchrow(
        "SELECT getdatabaseencoding() = 'UTF8' AS encoding, lower('ЁЖӨ') = 'ёжө' AS folds,"
        " 'Ёж' ILIKE 'ёж' AS matches, to_tsvector('simple', 'Дорога') @@ to_tsquery('simple', 'дорога') AS finds,"
        " datctype NOT IN ('C', 'POSIX') AS letters FROM pg_database WHERE datname = current_database()"
    )
    failed = [name for name, passed in row.items() if not passed]
    if failed:
        raise DatabaseError(
            f"The database {DATABASE} does not support Cyrillic ({', '.join(failed)}): create it with "
            "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' "
            "LC_CTYPE 'C.UTF-8' TEMPLATE template0"
        )


async def ensure_logins(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Create or update each service's login role, a member of the group role that the migrations create."""
    connection = await connect(with_database(admin_url, DATABASE))
    try:
        async with connection.transaction():
            for service, password in passwords.items():
                await _ensure_login(connection, service, password, "")
                grant = await connection.fetchval(
                    "SELECT format('GRANT %I TO %I', $1::text, $2::text)", f"gospablik_{service}", service
                )
                await connection.execute(grant)
    finally:
        await connection.close()


def with_database(url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _create_database(connection: asyncpg.Connection) -> None:
    refusals = []
    for ctype in _CTYPES:
        try:
            await connection.execute(
                f"CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8' "
                f"LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE '{ctype}'"
            )
        except (asyncpg.WrongObjectTypeError, asyncpg.InvalidParameterValueError) as error:
            refusals.append(str(error))
        else:
            return
    raise DatabaseError("This server has no UTF-8 LC_CTYPE: " + "; ".join(refusals))


async def _ensure_login(connection: asyncpg.Connection, role: str, password: str, options: str) -> None:
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    iterations = await connection.fetchval("SELECT current_setting('scram_iterations')::int")
    statement = await connection.fetchval(
        "SELECT format('%s ROLE %I LOGIN %s PASSWORD %L', $1::text, $2::text, $3::text, $4::text)",
        "ALTER" if exists else "CREATE",
        role,
        options,
        scram_verifier(password, iterations),
    )
    await connection.execute(statement)


def scram_verifier(password: str, iterations: int) -> str:
    """Return the verifier that Postgres stores for an ASCII password (SCRAM-SHA-256, RFC 5803), with a new salt.

    Servers log statements, so a statement must not contain the password itself.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored_text}:{server_text}"
