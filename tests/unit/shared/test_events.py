"""What is an outage, so that no event is stepped over for it."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from shared.events import is_outage


def _of_the_driver(*, lost: bool) -> DBAPIError:
    return DBAPIError("SELECT 1", {}, Exception("connection was closed"), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (OSError("connection refused"), True),
        (TimeoutError(), True),
        (OperationalError("SELECT 1", {}, Exception()), True),
        (InterfaceError("SELECT 1", {}, Exception()), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (_of_the_driver(lost=True), True),
        (_of_the_driver(lost=False), False),
        (IntegrityError("INSERT", {}, Exception()), False),
        (ValueError("one event's own fault"), False),
    ],
)
def test_an_outage_is_told_from_a_bad_event(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage
