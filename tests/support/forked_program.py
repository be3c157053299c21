"""Run Python programs in processes forked from a process that has imported the modules they need.

Imports take a second or more per program, and the tests start hundreds of programs.
"""

import asyncio
import importlib
import multiprocessing
import os
import random
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.eventually import HANG_SECONDS

# Modules that the programs import; not the programs themselves, which run as with `python -m`.
PRELOADED = [
    "cli.api_client",
    "cli.commands.dead_letters",
    "cli.commands.serve",
    "cli.demo.demo_people",
    "cli.deployment.first_person",
    "cli.deployment.migrate",
    "emulators.ok.app",
    "emulators.vk.app",
    "services.ingest.app",
    "services.registry.app",
    "tests.support.classifier_preload",
    "tests.support.forked_program",
    "tests.support.hostile_classifier",
]


def forkserver() -> ForkServerContext:
    """Return the context whose processes are forked from a process with the modules of `PRELOADED`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def fork_classifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make classifier pools fork their processes, which is fast, for tests that create several."""
    forking = SimpleNamespace(get_context=lambda _: forkserver())
    monkeypatch.setattr("services.appeals.classification.classifier_pool.multiprocessing", forking)


class ForkedProgram:
    """A process of `python -m MODULE ARGUMENTS…`, with the parts of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str],
        stdout: str | Path | None = None,
        stderr: str | Path | None = None,
    ) -> None:
        """Start the process. Without `stdout` or `stderr`, output goes where the fork server's goes."""
        target = (module, arguments, dict(env), stdout, stderr)
        self._process = forkserver().Process(target=_execute, args=target, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit status, negative for a signal; None while the program runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if the program still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = HANG_SECONDS) -> int:
        """Wait until the program ends; return the exit status."""
        self._process.join(seconds)
        assert self.returncode is not None, "the program does not end"
        return self.returncode


async def run_program(module: str, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end without input; return its exit status and output."""

    def run() -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            out.touch()
            err.touch()
            status = ForkedProgram(module, *arguments, env=env, stdout=out, stderr=err).wait()
            return subprocess.CompletedProcess([module, *arguments], status, out.read_text(), err.read_text())

    return await asyncio.to_thread(run)


def _execute(
    module: str,
    arguments: tuple[str, ...],
    env: dict[str, str],
    stdout: str | Path | None,
    stderr: str | Path | None,
) -> None:
    os.environ.clear()
    os.environ.update(env)
    for path, number in ((stdout, 1), (stderr, 2)):
        if path is not None:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
    random.seed()
    # Reload: the module reads the clock shift from the environment at import.
    importlib.reload(sys.modules["shared.clock"])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
