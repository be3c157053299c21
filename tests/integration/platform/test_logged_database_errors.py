"""A logged database error with its traceback contains no values of rows."""

import io
import json

import pytest
import structlog
from sqlalchemy.exc import IntegrityError

from shared import logs
from shared.database.sessions import Database
from shared.tables.registry import Person
from tests.conftest import TestDatabase

SECRETS = ("t.ivanova", "Татьяна Иванова", "$argon2id$of-hers")


def _person() -> Person:
    username, full_name, password_hash = SECRETS
    return Person(username=username, full_name=full_name, role="head", password_hash=password_hash)


async def test_values_of_a_refused_row_are_not_logged(database: TestDatabase) -> None:
    pool = Database(database.url("registry"), 1, name="test")
    written = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(written), processors=logs.PROCESSORS)
    try:
        async with pool.write() as session:
            session.add(_person())
        with pytest.raises(IntegrityError) as refused:
            async with pool.write() as session:
                session.add(_person())
    finally:
        await pool.close()
    log.error("unexpected error", exc_info=refused.value, error=repr(refused.value))
    line = json.loads(written.getvalue())
    assert "INSERT INTO people" in line["exception"]
    for field in ("exception", "error"):
        assert "uq_people_username" in line[field]
        for secret in SECRETS:
            assert secret not in line[field], field
