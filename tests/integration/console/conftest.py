"""Fixtures of the console: it calls all services over real HTTP, on data that the tests leave unchanged."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from tests.conftest import TestDatabase
from tests.integration.access.all_services import running_services
from tests.integration.console.console_under_test import ConsoleUnderTest, running_console


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run test_calls.py last: it checks the calls that all other tests made."""
    items.sort(key=lambda item: item.path.name == "test_calls.py" and item.path.parent.name == "console")


@pytest.fixture(scope="package")
async def console(migrated_template: str, keys_dir: Path) -> AsyncIterator[ConsoleUnderTest]:
    """The console and the services it calls, on one database for the whole package."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(migrated_template)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER}")
        database = TestDatabase(migrated_template, name)
        async with (
            running_services(database, keys_dir) as services,
            running_console(services, database, keys_dir) as running,
        ):
            yield running
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
