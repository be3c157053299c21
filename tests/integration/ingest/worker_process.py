"""Ingest's worker as a process of its own: to be killed, or to live by another clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.temporary_postgres import free_port
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import FAST, KEYS
from tests.support.service_under_test import environment


class Process:
    """Ingest's worker as a process."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; the one before is dead."""
        command = [sys.executable, "-m", "cli.main", "serve", "ingest", "--process", "worker"]
        self._process = subprocess.Popen(command, env=self._env, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def worker_process(database: TestDatabase, keys_dir: Path, **env: str) -> Iterator[Process]:
    """A worker process on the test's database, started; killed in the end."""
    settings = KEYS | FAST | {"port": str(free_port())} | env
    process = Process({**os.environ, **environment("ingest", database, keys_dir, **settings)})
    try:
        process.start()
        yield process
    finally:
        process.kill()
