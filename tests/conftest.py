"""What every test may ask for: a real Postgres, a freshly migrated database of its own, signing keys."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import asyncpg
import pytest
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from cli.deployment import provisioning as bootstrap
from cli.deployment import signing_keys
from cli.embedded.settings import SERVICES
from cli.embedded.temporary_postgres import TEST_PASSWORD, migrate, temporary_server
from shared import gc_tuning
from tests.support.database_reuse import Databases, Keeper

__all__ = ["SERVICES", "TestDatabase"]

# A database per test: what makes copies durable only costs time here.
OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
    "max_connections=200",
    # Plans do not depend on when it runs, and an analysed database could not be used again.
    "autovacuum=off",
    "scram_iterations=1",
)
# On loopback nobody listens, and making TLS's context takes asyncpg longer than all the rest of connecting.
os.environ["PGSSLMODE"] = "disable"
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 2**31

# No timing decides a test; one that hangs ends by pytest's timeout.
hypothesis_settings.register_profile("gospablik", deadline=None)
hypothesis_settings.load_profile("gospablik")


@dataclass(frozen=True)
class TestDatabase:
    """One database with all migrations, emptied or dropped after the test."""

    __test__ = False

    admin_url: str
    name: str
    open_connection: Callable[[str], Awaitable[asyncpg.Connection]] = asyncpg.connect

    def url(self, role: str) -> str:
        """Connection of a service's login role, or of `gospablik_owner`."""
        return bootstrap.with_login(self.admin_url, role, TEST_PASSWORD, self.name)

    async def connect(self, role: str = "postgres") -> asyncpg.Connection:
        """A raw connection; the superuser's by default, to look behind the services."""
        url = bootstrap.with_database(self.admin_url, self.name) if role == "postgres" else self.url(role)
        return await self.open_connection(url)


class _Stages(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Tests that share a stage stay in one process.

    The end-to-end run is one stage, the matrix of access another, so is a network of the conformance suite; else a
    file is.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, case = nodeid.partition("::")
        if file.startswith("tests/conformance/") and "[" in case:
            return f"conformance-{case.partition('[')[2].partition('-')[0]}"
        return next((room for room in ("tests/e2e/", "tests/integration/access/") if file.startswith(room)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest stages first, the shortest tests last: no process is left alone with a long one at the end."""
    order = (
        "tests/integration/data_growth/",
        "tests/chaos/test_api_fuzzing.py",
        "tests/chaos/",
        "tests/e2e/",
        "tests/integration/access/",
        "tests/conformance/",
        "tests/integration/",
        "tests/contract/",
    )

    def rank(item: pytest.Item) -> int:
        return next((place for place, folder in enumerate(order) if item.nodeid.startswith(folder)), len(order))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Let the garbage collector skip the hundreds of thousands of objects that collecting the tests has made."""
    gc_tuning.freeze_startup_objects()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Stages:
    """How several processes share the tests."""
    return _Stages(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real Postgres for this test run; gives the superuser's URL. The template `gospablik` is migrated."""
    if given := os.environ.get("GOSPABLIK_TEST_DATABASE_URL"):
        yield given
        return
    with temporary_server(OPTIONS, _memory()) as url:
        yield url


def _memory() -> Path | None:
    """A folder in memory, where a copied database costs a third; None when there is none that does."""
    if not MEMORY.is_dir():
        return None
    found = os.statvfs(MEMORY)
    # The server's programs may have to be copied beside its data.
    runs_programs = not found.f_flag & os.ST_NOEXEC
    return MEMORY if runs_programs and found.f_bavail * found.f_frsize > MEMORY_NEEDED else None


@pytest.fixture(scope="session")
async def template(postgres_server: str) -> str:
    """The URL of the server whose database `gospablik` holds all migrations; tests copy it."""
    await migrate(postgres_server)
    return postgres_server


@pytest.fixture(scope="session")
async def keeper() -> Keeper:
    """The pools and connections that stay connected between tests."""
    return Keeper()


@pytest.fixture(scope="session")
async def databases(template: str, keeper: Keeper) -> AsyncIterator[Databases]:
    """The databases of this process."""
    made = Databases(template, keeper)
    with mock.patch("shared.service.Database", keeper):
        yield made
    await made.end()


@pytest.fixture
async def database(template: str, databases: Databases, keeper: Keeper) -> AsyncIterator[TestDatabase]:
    """A database of the test's own, with every migration and nothing else."""
    spare = await databases.take()
    yield TestDatabase(template, spare.name, keeper.connect)
    await databases.give_back(spare)


@pytest.fixture(scope="session")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signing keys of all services and of people's tokens."""
    folder = tmp_path_factory.mktemp("keys")
    signing_keys.ensure_keys(folder)
    return folder
