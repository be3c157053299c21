"""Connection pools of the services' roles."""

from collections.abc import AsyncIterator

import pytest

from shared.database.sessions import Database
from tests.conftest import TestDatabase


@pytest.fixture
async def appeals_database(database: TestDatabase) -> AsyncIterator[Database]:
    """A connection pool of the appeals role."""
    pool = Database(database.url("appeals"), 12, name="test")
    yield pool
    await pool.close()
