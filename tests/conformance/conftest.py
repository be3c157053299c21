"""One running ingest per network; independent behaviours run concurrently; results are printed as a table."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from cli.deployment import provisioning as bootstrap
from tests.conformance.behaviour_list import BEHAVIOURS, Behaviour
from tests.conformance.ingest_under_test import IngestUnderTest, running_ingest
from tests.conformance.network_servers import NETWORK_SERVERS, running_network
from tests.conftest import TestDatabase

CONCURRENCY = 8


class BehaviourRunner:
    """Runs behaviours against one network: first concurrently, then the behaviours marked `alone` one by one."""

    def __init__(self, system: IngestUnderTest, chosen: Sequence[Behaviour]) -> None:
        self._system = system
        self._gate = asyncio.Semaphore(CONCURRENCY)
        self._together = {
            one.name: asyncio.create_task(self._run(one), name=one.name) for one in chosen if not one.alone
        }

    async def _run(self, one: Behaviour) -> None:
        async with self._gate:
            await self._alone(one)

    async def _alone(self, one: Behaviour) -> None:
        try:
            await one.run(self._system)
        finally:
            await self._system.disconnect()

    async def outcome(self, one: Behaviour) -> None:
        """Wait for the behaviour or, if it is marked `alone`, run it. Raises the behaviour's error."""
        if one.name in self._together:
            await self._together.pop(one.name)
            return
        if self._together:
            await asyncio.wait(self._together.values())
        try:
            await self._alone(one)
        finally:
            await self._system.driver.clear_faults()

    async def end(self) -> None:
        """Cancel the behaviours that no test is waiting for."""
        for task in self._together.values():
            task.cancel()
        await asyncio.gather(*self._together.values(), return_exceptions=True)


class SharedIngests:
    """Runs ingest for one network after another; cases must be sorted by network."""

    def __init__(
        self, admin_url: str, keys_dir: Path, folder: Path, chosen: Mapping[str, Sequence[Behaviour]]
    ) -> None:
        self._admin_url = admin_url
        self._keys_dir = keys_dir
        self._folder = folder
        self._chosen = chosen
        self._open: dict[str, BehaviourRunner] = {}
        self._closing = AsyncExitStack()

    async def show(self, network: str) -> BehaviourRunner:
        """Return the runner of a network; start it first if needed, and stop that of the previous network."""
        if network not in self._open:
            await self.close()
            system = await self._closing.enter_async_context(self._system(network))
            shown = self._open[network] = BehaviourRunner(system, self._chosen[network])
            self._closing.push_async_callback(shown.end)
        return self._open[network]

    async def close(self) -> None:
        """Stop the behaviours and ingest of the current network."""
        self._open.clear()
        await self._closing.aclose()
        self._closing = AsyncExitStack()

    @asynccontextmanager
    async def _system(self, network: str) -> AsyncIterator[IngestUnderTest]:
        folder = self._folder / network
        folder.mkdir()
        async with fresh_database(self._admin_url) as database:
            with running_network(network, folder) as (driver, settings):
                async with running_ingest(driver, database, self._keys_dir, settings) as system:
                    yield system


@asynccontextmanager
async def fresh_database(admin_url: str) -> AsyncIterator[TestDatabase]:
    """Yield a new database with all migrations; drop it after the block."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER} STRATEGY FILE_COPY"
        )
        yield TestDatabase(admin_url, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(scope="package")
async def shared_ingests(
    request: pytest.FixtureRequest,
    migrated_template: str,
    keys_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SharedIngests]:
    """The runner that starts ingest for each network of this test run."""
    chosen: dict[str, list[Behaviour]] = defaultdict(list)
    for item in request.session.items:
        params = _params(item)
        if isinstance(params.get("behaviour"), Behaviour):
            chosen[params["network"]].append(params["behaviour"])
    shared_ingests = SharedIngests(migrated_template, keys_dir, tmp_path_factory.mktemp("conformance"), chosen)
    yield shared_ingests
    await shared_ingests.close()


def _params(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return {} if callspec is None else dict(callspec.params)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table of results: behaviour × network."""
    outcomes: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            _, found, case = report.nodeid.partition("test_conformance.py::test_network_shows_behaviour[")
            if found:
                network, _, name = case.partition("]")[0].partition("-")
                outcomes[name][network] = outcome
    if not outcomes:
        return
    write = terminalreporter.write_line
    terminalreporter.section("conformance")
    wide = max(map(len, outcomes))
    write(f"{'':{wide}}  " + "  ".join(f"{network:7}" for network in NETWORK_SERVERS))
    for one in BEHAVIOURS:
        if one.name in outcomes:
            row = [outcomes[one.name].get(network, "–") for network in NETWORK_SERVERS]
            write(f"{one.name:{wide}}  " + "  ".join(f"{shown:7}" for shown in row))
    counts = {n: sum(row.get(n) == "passed" for row in outcomes.values()) for n in NETWORK_SERVERS}
    write(f"{'passed':{wide}}  " + "  ".join(f"{count:<7}" for count in counts.values()))
    for one in BEHAVIOURS:
        for played in NETWORK_SERVERS.values():
            if one.name in outcomes and (why := one.not_for(played.driver)):
                write(f"not counted: {one.name}: {why}")
