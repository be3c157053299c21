"""One set of services for all tests of this folder, stopped after them; no call changes its data."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from tests.conftest import TestDatabase
from tests.integration.access.all_services import AllServices, running_services


@pytest.fixture(scope="package")
async def all_services(migrated_template: str, keys_dir: Path) -> AsyncIterator[AllServices]:
    """All services on a database that no other test uses."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(migrated_template)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER}")
        async with running_services(TestDatabase(migrated_template, name), keys_dir) as running:
            yield running
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
