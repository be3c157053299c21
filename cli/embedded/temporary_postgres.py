"""A temporary Postgres with all migrations, for tests and benchmarks."""

import asyncio
import itertools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cli.deployment import provisioning
from cli.embedded import postgres
from cli.embedded.data_dir import DataDir
from cli.embedded.settings import SERVICES

TEST_PASSWORD = "scratch"  # noqa: S105 — the server listens on loopback and ends with the run


# Below the ephemeral ports, which the system may assign to another socket before this one is bound. Every process
# starts at a random number, so that two processes do not choose the same port.
_FIRST_PORT, _PORTS = 10_000, 20_000
_numbers = itertools.count(secrets.randbelow(_PORTS))


def free_port() -> int:
    """Return a port that is free now; each call returns another port."""
    while True:
        port = _FIRST_PORT + next(_numbers) % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def temporary_server(options: Sequence[str] = (), parent: Path | None = None) -> Iterator[str]:
    """Run a server in a temporary folder until the block ends. Yield the superuser's URL.

    `options` are settings of the server such as "fsync=off". The folder is created in `parent`, by default in the
    folder of temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="gospablik-", dir=parent, ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o711)
        server = postgres.locate(DataDir.prepare(root / "data"))
        server.initialise(TEST_PASSWORD)
        port = free_port()
        account = server.account
        flags = [part for option in options for part in ("-c", option)]
        with (root / "postgres.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 — our own command
                [*server.command("127.0.0.1", port), *flags],
                stdout=log,
                stderr=log,
                cwd="/",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            try:
                yield f"postgresql://postgres:{TEST_PASSWORD}@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(2)
                process.wait(30)


def _migrate(url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "cli.main", "migrate"],
        env={**os.environ, "GOSPABLIK_DATABASE_URL": url},
        check=True,
        capture_output=True,
        text=True,
    )


async def migrate(admin_url: str) -> None:
    """Create the database `gospablik` with all migrations and the services' login roles."""
    await provisioning.wait_until_ready(admin_url, is_alive=lambda: True, progress=lambda _: None)
    await provisioning.ensure_database(admin_url, TEST_PASSWORD)
    owner = provisioning.with_login(admin_url, provisioning.OWNER, TEST_PASSWORD)
    await asyncio.to_thread(_migrate, owner)
    await provisioning.ensure_logins(admin_url, dict.fromkeys(SERVICES, TEST_PASSWORD))
