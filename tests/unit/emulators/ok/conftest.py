"""Fixtures that run the emulator in this process, without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from emulators.ok.app import create_app
from emulators.ok.settings import OkSettings
from tests.unit.emulators.ok.signed_client import Network


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    """A fresh network with one page."""
    settings = OkSettings(
        data=tmp_path / "ok.sqlite3",
        calls_per_second=0,
        bot_calls_per_second=0,
        # Longer than a test, so that its counts of calls are not reset.
        day_seconds=10_000_000_000,
        rate_window_seconds=10_000_000_000,
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ok.invalid") as http:
        network = Network(http, app.state.world)
        await network.open_page("Школа № 1", "school1")
        yield network
    app.state.world.store.close()
