"""Ingest's worker as a separate process, which can be killed or run with a skewed clock."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.temporary_postgres import free_port
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import FAST, KEYS
from tests.support.forked_program import ForkedProgram
from tests.support.service_under_test import environment


class Process:
    """Ingest's worker as a separate process."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._process: ForkedProgram | None = None

    def start(self) -> None:
        """Start the process; also again after it has ended."""
        command = ("cli.main", "serve", "ingest", "--process", "worker")
        self._process = ForkedProgram(*command, env=self._env, stdout=os.devnull)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def worker_process(database: TestDatabase, keys_dir: Path, **env: str) -> Iterator[Process]:
    """Run a worker process on the test's database; kill it when the block ends."""
    settings = KEYS | FAST | {"port": str(free_port())} | env
    process = Process({**os.environ, **environment("ingest", database, keys_dir, **settings)})
    try:
        process.start()
        yield process
    finally:
        process.kill()
