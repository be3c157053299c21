"""Distinguish outages from application errors: after an outage work is retried without counting a failure.

The rule uses SQLSTATE classes, since drivers and SQLAlchemy map the same condition to different exceptions. Their
exceptions are imported when one must be recognised: the gateway's service has no database.
"""

# ruff: noqa: PLC0415

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTAGE_CLASSES = (
    "08",  # connection exception
    "53",  # insufficient resources: too many connections, disk full, out of memory
    "57P",  # operator intervention: shutdown, crash recovery, cannot connect now
    "40",  # transaction rollback: serialization failure, deadlock
)
SQLSTATE_READ_ONLY = "25006"  # the server is a standby, or was demoted to one
SQLSTATE_DEADLOCK = "40P01"
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
        # The process or system has no free file descriptors or buffers for sockets.
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
    }
)


class DependencyUnavailable(Exception):  # noqa: N818 — a state, not an error of the work
    """A dependency is unavailable: the work is retried later and no failure is counted."""


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of an error of SQLAlchemy or the driver; empty if it has none."""
    return str(getattr(_driver_error(error), "sqlstate", None) or "")


# State 2 of asyncpg's protocol: it is reading an error of the server that belongs to no statement.
_ENDED_WITH_ERROR = "another operation (2) is in progress"


def is_deadlock(error: BaseException) -> bool:
    """Return whether Postgres aborted the transaction because of a deadlock."""
    return sqlstate(error) == SQLSTATE_DEADLOCK


def is_timeout(error: BaseException) -> bool:
    """Return whether a timeout occurred; only a ping shows whether it was the statement or the database."""
    return isinstance(error, TimeoutError) or sqlstate(error) in _TIMEOUTS


def is_outage(error: BaseException) -> bool:
    """Return whether `error` was caused by an outage of the database or another dependency.

    A timeout counts as an outage. An `OSError` counts only if it is a network error; a missing file is not.
    A value that the driver cannot encode is not an outage, although asyncpg raises an `InterfaceError`.
    """
    from sqlalchemy.exc import DBAPIError, PendingRollbackError
    from sqlalchemy.exc import TimeoutError as PoolTimeout

    if isinstance(error, BaseExceptionGroup):
        return any(is_outage(one) for one in error.exceptions)
    if isinstance(error, PendingRollbackError):
        # A statement after a lost connection fails with this code; after an application error, with another one.
        return error.code == "8s2b"
    if isinstance(error, (DependencyUnavailable, PoolTimeout)) or is_timeout(error):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if code := sqlstate(error):
        return code.startswith(_OUTAGE_CLASSES) or code == SQLSTATE_READ_ONLY
    return _is_connection_error(_driver_error(error))


async def is_application_error(error: BaseException, ping: Callable[[], Awaitable[object]]) -> bool:
    """Return whether `error` is an error of the work itself: the database responds to `ping` within a second.

    Only application errors are counted as failures. A timeout is one if the database responds to `ping`.
    """
    if is_outage(error) and not is_timeout(error):
        return False
    try:
        async with asyncio.timeout(1):
            await ping()
    except Exception:  # noqa: BLE001 — any error means that the database does not respond
        return False
    return True


def _driver_error(error: BaseException) -> BaseException:
    """Return the driver's exception: SQLAlchemy wraps it twice and keeps the inner one as the cause."""
    wrapped = getattr(error, "orig", None)
    return error if wrapped is None else wrapped.__cause__ or wrapped


def _is_connection_error(error: BaseException) -> bool:
    import asyncpg

    if isinstance(error, (ConnectionError, ssl.SSLError, asyncpg.TargetServerAttributeNotMatched)):
        return True
    if isinstance(error, OSError):
        # Names that cannot be resolved are `socket.gaierror`, whose numbers are negative. asyncio joins
        # the refusals of several addresses of one host into an error without a number.
        if error.errno is None:
            return str(error).startswith("Multiple exceptions:")
        return error.errno in _ERRNOS or error.errno < 0
    if isinstance(error, asyncpg.InternalClientError):
        # The server has ended the connection: the driver has read its error, but not yet the end of the stream.
        return _ENDED_WITH_ERROR in str(error)
    # Without a code: "connection is closed", "the underlying connection is closed", "pool is closing".
    return isinstance(error, asyncpg.InterfaceError) and ("closed" in str(error) or "closing" in str(error))
