"""Upgrades and downgrades of a test database to any revision."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import migrations
from cli.deployment import migrate


async def upgrade(monkeypatch: pytest.MonkeyPatch, owner: str, revision: str = "head") -> None:
    """Upgrade the database at the owner's URL, as `gospablik migrate` does."""
    monkeypatch.setenv("GOSPABLIK_DATABASE_DIRECT_URL", owner)
    await asyncio.to_thread(migrate.upgrade, revision)


async def downgrade(revision: str) -> None:
    """Downgrade the database that was upgraded last."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    await asyncio.to_thread(command.downgrade, config, revision)
