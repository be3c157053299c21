"""What every test may ask for: a real Postgres, a freshly migrated database of its own, signing keys."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from cli import database as bootstrap
from cli import keys
from cli.embedded import postgres
from cli.embedded.layout import Layout

PASSWORD = "test"
SERVICES = ("registry", "ingest", "appeals", "metrics", "webhooks")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class TestDatabase:
    """One database with all migrations, dropped after the test."""

    __test__ = False

    admin_url: str
    name: str

    def url(self, role: str) -> str:
        """Connection of a service's login role, or of `gospablik_owner`."""
        return bootstrap.with_login(self.admin_url, role, PASSWORD, self.name)

    async def connect(self, role: str = "postgres") -> asyncpg.Connection:
        """A raw connection; the superuser's by default, to look behind the services."""
        url = bootstrap.with_database(self.admin_url, self.name) if role == "postgres" else self.url(role)
        return await asyncpg.connect(url)


def _migrate(url: str) -> None:
    subprocess.run(
        ["gospablik", "migrate"],
        env={**os.environ, "GOSPABLIK_DATABASE_URL": url, "PATH": _path()},
        check=True,
        capture_output=True,
        text=True,
    )


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real Postgres for this test run; gives the superuser's URL. The template `gospablik` is migrated."""
    if given := os.environ.get("GOSPABLIK_TEST_DATABASE_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="gospablik-test-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o711)
        server = postgres.locate(Layout.prepare(root / "data"))
        server.initialise(PASSWORD)
        port = free_port()
        account = server.account
        command = [*server.command("127.0.0.1", port), "-c", "fsync=off", "-c", "max_connections=200"]
        with (root / "postgres.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd="/",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            try:
                yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(2)
                process.wait(30)


@pytest.fixture(scope="session")
async def template(postgres_server: str) -> str:
    """The URL of the server whose database `gospablik` holds all migrations; tests copy it."""
    process_alive = True
    await bootstrap.wait_until_ready(postgres_server, alive=lambda: process_alive, progress=lambda _: None)
    await bootstrap.ensure_database(postgres_server, PASSWORD)
    owner = bootstrap.with_login(postgres_server, bootstrap.OWNER, PASSWORD)
    await asyncio.to_thread(_migrate, owner)
    await bootstrap.ensure_logins(postgres_server, dict.fromkeys(SERVICES, PASSWORD))
    return postgres_server


@pytest.fixture
async def database(template: str) -> AsyncIterator[TestDatabase]:
    """A database of the test's own, with every migration and nothing else."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(template)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {bootstrap.DATABASE} OWNER {bootstrap.OWNER}")
        yield TestDatabase(template, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signing keys of all services and of people's tokens."""
    folder = tmp_path_factory.mktemp("keys")
    keys.ensure_keys(folder)
    return folder
