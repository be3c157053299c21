"""A running OK emulator for third-party clients."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.ok.ok_emulator import OkProcess


@pytest.fixture(scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OkProcess]:
    """A network with one page, for all tests of a module."""
    process = OkProcess(
        tmp_path_factory.mktemp("ok") / "ok.sqlite3",
        calls_per_second=0,
        bot_calls_per_second=0,
        webhook_timeout_seconds=60,
        webhook_retry_seconds="[0.2, 0.2, 0.2]",
    )
    try:
        await process.start()
        await process.open_page("Школа № 1", "school1")
        yield process
    finally:
        await process.close()


@pytest.fixture
async def lone_network(tmp_path: Path) -> AsyncIterator[OkProcess]:
    """A separate network with low limits, not started yet."""
    process = OkProcess(
        tmp_path / "ok.sqlite3",
        calls_per_second=2,
        calls_per_day=5,
        rate_window_seconds=10_000_000_000,
        day_seconds=10_000_000_000,
    )
    try:
        yield process
    finally:
        await process.close()
