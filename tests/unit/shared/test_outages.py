"""Outages and application errors; `tests/integration/platform/test_outage_detection.py` uses a real server."""

import errno
import socket

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.appeals.classification.classifier_pool import ClassifierUnavailableError
from shared.database.outages import is_application_error, is_outage
from shared.service_client import ServiceUnavailable, ServiceUnreachable


def _of_code(code: str) -> Exception:
    error: Exception = asyncpg.PostgresError.new({"C": code, "M": "what Postgres says"})
    return error


@pytest.mark.parametrize("code", ["08006", "53300", "53200", "57P01", "57P03", "40001", "40P01", "25006", "57014"])
def test_temporary_database_error_is_an_outage(code: str) -> None:
    assert is_outage(_of_code(code))


@pytest.mark.parametrize("code", ["57014", "55P03", "25P03", "25P04"])
async def test_timeout_is_an_application_error_only_if_the_database_responds(code: str) -> None:
    async def responds() -> None:
        return

    async def is_away() -> None:
        raise ConnectionRefusedError

    assert is_outage(_of_code(code))
    assert await is_application_error(_of_code(code), responds)
    assert not await is_application_error(_of_code(code), is_away)


@pytest.mark.parametrize("code", ["22000", "22021", "23505", "42501", "25P02", "P0001", "XX000"])
def test_application_error_is_not_an_outage(code: str) -> None:
    assert not is_outage(_of_code(code))


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True),
        (ConnectionResetError("Connection lost"), True),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed"), True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (OSError("a library's own words"), False),
        (TimeoutError(), True),
        (PoolTimeout("QueuePool limit of size 5 overflow 0 reached"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), False),
        (asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"), True),
        (asyncpg.InternalClientError("cannot switch to state 15; another operation (12) is in progress"), False),
        (asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"), False),
        (DBAPIError("SELECT 1", {}, Exception("whatever"), connection_invalidated=True), True),
        (DBAPIError("SELECT 1", {}, Exception("whatever")), False),
        (IntegrityError("INSERT", {}, Exception()), False),
        (ExceptionGroup("tasks", [ValueError("bug"), ConnectionResetError()]), True),
        (ExceptionGroup("tasks", [ValueError("bug")]), False),
        (ClassifierUnavailableError("the classifier process ended twice in a row"), True),
        (ServiceUnreachable("ingest: refused"), True),
        (ServiceUnavailable("ingest answered 500"), False),
        (ValueError("one event's own fault"), False),
    ],
)
def test_outage_is_distinguished_from_an_application_error(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage
