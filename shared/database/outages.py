"""What tells an outage from a fault: an outage means "later", is counted against nothing and dead-letters nothing.

The rule goes by SQLSTATE class, since drivers and SQLAlchemy map the same condition to different exceptions.
"""

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable

import asyncpg
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CLASSES = (
    "08",  # connection exception
    "53",  # insufficient resources: too many connections, disk full, out of memory
    "57P",  # operator intervention: shutdown, crash recovery, cannot connect now
    "40",  # transaction rollback: serialization failure, deadlock
)
READ_ONLY = "25006"  # the server is a standby, or was demoted to one
DEADLOCK = "40P01"
_TIMEOUTS = frozenset(
    {
        "57014",  # statement_timeout, or a cancelled statement
        "55P03",  # lock_timeout
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
    }
)
_ERRNOS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        # No socket can be opened for now.
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
    }
)


class Unavailable(Exception):  # noqa: N818 — reads better where it is raised
    """Something the work depends on is away: the work is tried later and nothing is counted against it."""


def sqlstate(error: BaseException) -> str:
    """Return Postgres' code of an error, SQLAlchemy's or the driver's; empty when it carries none."""
    return str(getattr(_of_driver(error), "sqlstate", None) or "")


def is_deadlock(error: BaseException) -> bool:
    """Whether Postgres ended the transaction because it and another waited for each other."""
    return sqlstate(error) == DEADLOCK


def is_timeout(error: BaseException) -> bool:
    """Whether time ran out, of a slow database or of a statement that is slow by itself: a ping tells which."""
    return isinstance(error, TimeoutError) or sqlstate(error) in _TIMEOUTS


def is_outage(error: BaseException) -> bool:
    """Whether the database, or something else the work depends on, was away when `error` was raised.

    A timeout counts as one. An `OSError` counts only where it is one of the network: a missing file is a fault.
    A value that the driver cannot encode is a fault, although asyncpg raises it as an `InterfaceError`.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(is_outage(one) for one in error.exceptions)
    if isinstance(error, PendingRollbackError):
        # The statement after the one that lost its connection; without that code, after one that was at fault.
        return error.code == "8s2b"
    if isinstance(error, (Unavailable, PoolTimeout)) or is_timeout(error):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if code := sqlstate(error):
        return code.startswith(_CLASSES) or code == READ_ONLY
    return _is_of_the_connection(_of_driver(error))


async def is_fault(error: BaseException, ping: Callable[[], Awaitable[object]]) -> bool:
    """Whether `error` speaks against the work that raised it, while the database answers `ping` within a second.

    Only a fault is counted. A timeout is one of the work alone if others are served meanwhile.
    """
    if is_outage(error) and not is_timeout(error):
        return False
    try:
        async with asyncio.timeout(1):
            await ping()
    except Exception:  # noqa: BLE001 — whatever it is, the database does not answer
        return False
    return True


def _of_driver(error: BaseException) -> BaseException:
    """Return the driver's own exception: SQLAlchemy wraps it twice and keeps the inner one as the cause."""
    wrapped = getattr(error, "orig", None)
    return error if wrapped is None else wrapped.__cause__ or wrapped


def _is_of_the_connection(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, ssl.SSLError, asyncpg.TargetServerAttributeNotMatched)):
        return True
    if isinstance(error, OSError):
        # Names that cannot be resolved are `socket.gaierror`, whose numbers are negative. asyncio joins
        # the refusals of several addresses of one host into an error without a number.
        if error.errno is None:
            return str(error).startswith("Multiple exceptions:")
        return error.errno in _ERRNOS or error.errno < 0
    # Without a code: "connection is closed", "the underlying connection is closed", "pool is closing".
    return isinstance(error, asyncpg.InterfaceError) and ("closed" in str(error) or "closing" in str(error))
