"""Fixtures for all tests: a real Postgres, a freshly migrated database for each test, signing keys."""

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from cli.deployment import provisioning as bootstrap
from cli.deployment import signing_keys
from cli.embedded.settings import API_SERVICES, SERVICES
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from shared import clock, gc_tuning
from tests.support.database_reuse import Databases, Keeper

__all__ = ["API_SERVICES", "SERVICES", "TestDatabase"]

# A database is copied for each test: making the copies durable would only cost time.
OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
    "max_connections=200",
    # Plans must not depend on when autovacuum runs, and a database with new statistics cannot be reused.
    "autovacuum=off",
    "scram_iterations=1",
)
# Loopback needs no encryption, and creating a TLS context takes longer than the rest of a connection.
os.environ["PGSSLMODE"] = "disable"
# The processes of a run share the cores: threads of numpy and sklearn would only wait for each other, spinning.
os.environ["OMP_NUM_THREADS"] = "1"
# Workers in the process of a test notice the retry of a job sooner than those of production.
JOB_POLL_INTERVAL = timedelta(seconds=0.5)
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 2**31

# With the variables of every frame, one logged exception takes many seconds to print.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# A slow example does not fail a test; pytest's timeout ends one that hangs. The examples are the same every time:
# a failing one found by chance would break an unrelated change. Hypothesis would also try constants of all loaded
# modules: these change with any module, and parsing all modules takes seconds in each process.
hypothesis_settings.register_profile(
    "gospablik", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("gospablik")
mock.patch("hypothesis.internal.conjecture.providers.is_local_module_file", return_value=False).start()


@dataclass(frozen=True)
class TestDatabase:
    """One database with all migrations, emptied or dropped after the test."""

    __test__ = False

    admin_url: str
    name: str
    open_connection: Callable[[str], Awaitable[asyncpg.Connection]] = asyncpg.connect

    def url(self, role: str) -> str:
        """Return the database URL for a service's login role, or for `gospablik_owner`."""
        return bootstrap.with_login(self.admin_url, role, TEST_PASSWORD, self.name)

    async def connect(self, role: str = "postgres") -> asyncpg.Connection:
        """Return a raw connection, by default the superuser's, to read what the services have stored."""
        url = bootstrap.with_database(self.admin_url, self.name) if role == "postgres" else self.url(role)
        return await self.open_connection(url)


class _SharedFixtureScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Tests that share a stage stay in one process.

    A stage is the end-to-end run, the access matrix, one network of the conformance suite, one benchmark, or else
    a file.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, case = nodeid.partition("::")
        if file.startswith("tests/conformance/") and "[" in case:
            return f"conformance-{case.partition('[')[2].partition('-')[0]}"
        if file == "tests/chaos/test_benchmarks.py":
            return nodeid
        return next(
            (
                room
                for room in ("tests/e2e/", "tests/integration/access/", "tests/integration/console/")
                if file.startswith(room)
            ),
            file,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest stages first, so that at the end no process runs a long one while the others are idle."""
    order = (
        "tests/integration/console/",
        "tests/integration/data_growth/",
        "tests/chaos/test_api_fuzzing.py",
        "tests/chaos/",
        "tests/e2e/",
        "tests/integration/access/",
        "tests/conformance/",
        "tests/unit/appeals/test_hostile_texts.py",
        "tests/integration/",
        "tests/contract/",
    )

    def rank(item: pytest.Item) -> int:
        return next((place for place, folder in enumerate(order) if item.nodeid.startswith(folder)), len(order))

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector: it would walk through all tests found so far again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let the garbage collector skip the hundreds of thousands of objects that collecting the tests has made."""
    gc_tuning.freeze_startup_objects(collect=False)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Replace lone surrogates in the output of a test, which xdist cannot send: the run would end."""
    return _encodable((yield))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _encodable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(inner) for inner in value]
    return value


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _SharedFixtureScheduling:
    """Return the scheduler that distributes the tests over the processes."""
    return _SharedFixtureScheduling(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The superuser's URL of a real Postgres for this test run."""
    if given := os.environ.get("GOSPABLIK_TEST_DATABASE_URL"):
        yield given
        return
    with temporary_server(OPTIONS, _memory()) as url:
        yield url


def _memory() -> Path | None:
    """Return a folder in memory, where copying a database takes a third of the time; None if it is unusable."""
    if not MEMORY.is_dir():
        return None
    found = os.statvfs(MEMORY)
    # The server's programs may have to be copied beside its data.
    runs_programs = not found.f_flag & os.ST_NOEXEC
    return MEMORY if runs_programs and found.f_bavail * found.f_frsize > MEMORY_NEEDED else None


@pytest.fixture(scope="session")
async def migrated_template(postgres_server: str) -> str:
    """The URL of the server; its database `gospablik` has all migrations, and tests copy it."""
    await migrate(postgres_server)
    return postgres_server


@pytest.fixture(scope="session")
async def keeper() -> Keeper:
    """The pools and connections that stay connected between tests."""
    return Keeper()


@pytest.fixture(scope="session")
async def databases(migrated_template: str, keeper: Keeper) -> AsyncIterator[Databases]:
    """The databases of this process."""
    made = Databases(migrated_template, keeper)
    with mock.patch("shared.service.Database", keeper), mock.patch("shared.jobs.POLL_INTERVAL", JOB_POLL_INTERVAL):
        yield made
    await made.end()


@pytest.fixture
async def database(migrated_template: str, databases: Databases, keeper: Keeper) -> AsyncIterator[TestDatabase]:
    """A database of the test's own, with every migration and nothing else."""
    spare = await databases.take()
    yield TestDatabase(migrated_template, spare.name, keeper.connect)
    await databases.give_back(spare)


@pytest.fixture(scope="session")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signing keys of all services and of people's tokens."""
    folder = tmp_path_factory.mktemp("keys")
    signing_keys.ensure_keys(folder)
    return folder


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the application's clock, for a test about dates that may run at midnight."""
    moment = clock.now()
    monkeypatch.setattr("shared.clock.now", lambda: moment)
