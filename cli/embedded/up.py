"""Start, monitor and stop the embedded run."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console

from cli.atomic_files import write_private
from cli.demo import seed
from cli.demo.demo_api import DemoError
from cli.deployment.provisioning import (
    DATABASE,
    DatabaseError,
    ensure_database,
    ensure_logins,
    wait_until_ready,
    with_database,
)
from cli.deployment.signing_keys import ensure_keys
from cli.embedded import orphan_processes
from cli.embedded.console_output import ConsoleOutput
from cli.embedded.crash_monitor import CrashMonitor
from cli.embedded.data_dir import AlreadyRunningError, DataDir
from cli.embedded.database_clock import shift_database_clock
from cli.embedded.ports import PortTakenError, check_ports
from cli.embedded.postgres import Postgres, PostgresSetupError, locate
from cli.embedded.programs import CLI_COMMAND, ProgramSpecs
from cli.embedded.secrets import Secrets, load_secrets
from cli.embedded.settings import EMULATED_NETWORKS, SERVICES, EmbeddedSettings
from cli.embedded.supervisord import Supervisor, SupervisorError

_READY_SECONDS = 300.0
_LOG_LINES = 15


class StartError(Exception):
    """A process of the run did not start; the message contains the end of its log."""


class EmbeddedRun:
    """One run of the whole system on this machine."""

    def __init__(self, settings: EmbeddedSettings, *, with_demo: bool, console: Console) -> None:
        self._settings = settings
        self._with_demo = with_demo
        self._output = ConsoleOutput(console)
        self._data_dir = DataDir.prepare(settings.data_dir)
        self._supervisor: Supervisor | None = None
        self._server: Postgres | None = None

    def run(self) -> int:
        """Start everything, monitor it until Ctrl-C or SIGTERM, then stop it. Return the exit code."""
        with _interrupt_on_stop_signals():
            try:
                with self._data_dir.lock():
                    return self._run_locked()
            except AlreadyRunningError as error:
                self._output.fail(str(error))
                return 1

    def _run_locked(self) -> int:
        code = 0
        try:
            self._start()
            self._watch()
        except KeyboardInterrupt:
            self._output.note("stopping")
        except (
            DatabaseError,
            DemoError,
            PortTakenError,
            PostgresSetupError,
            StartError,
            SupervisorError,
        ) as error:
            self._output.fail(str(error))
            code = 1
        finally:
            self._stop()
        return code

    def _start(self) -> None:
        settings, data_dir = self._settings, self._data_dir
        if settings.database_admin_url is None:
            self._server = locate(data_dir)
        self._stop_orphans()
        check_ports(settings)
        with self._output.step("secrets and signing keys"):
            secrets = load_secrets(data_dir.secrets)
            ensure_keys(data_dir.keys)
        if self._server and self._server.initialise(secrets.superuser_password):
            self._output.note(f"created a database in {self._server.home}")
        programs = ProgramSpecs(settings, data_dir, secrets)
        supervisor = self._supervisor = Supervisor.start(data_dir, programs.all(self._server))
        self._write_run_info(programs, ready=False)
        for name in (*(["postgres"] if self._server else []), *EMULATED_NETWORKS, "gateway-service", "traefik"):
            supervisor.run(name)
        self._prepare_database(programs, secrets)
        for name in SERVICES:
            supervisor.run(name)
        for network in EMULATED_NETWORKS:
            with self._output.step(f"emulator of {network.upper()} on {settings.url(network)}"):
                self._wait_http(network, f"{settings.url(network)}/_control/pages")
        for name in SERVICES:
            with self._output.step(f"{name} on {settings.url(name)}"):
                self._wait_http(name, f"{settings.url(name)}/health/ready")
        with self._output.step(f"gateway on {settings.url('gateway')}"):
            self._wait_http("traefik", f"{settings.url('gateway')}/health")
        if self._with_demo:
            with self._output.step("a region with its organisations and pages"):
                summary = seed.seed_demo(settings, data_dir, programs)
            self._output.note(summary)
        self._write_run_info(programs, ready=True)
        self._output.closing_table(
            settings, demo=self._with_demo, logs=str(data_dir.logs), mail=str(data_dir.mail)
        )

    def _stop_orphans(self) -> None:
        if count := orphan_processes.stop_orphans(self._data_dir):
            self._output.note(f"stopped {count} processes of a killed run")
        orphan_processes.release_process_id(self._data_dir)

    def _prepare_database(self, programs: ProgramSpecs, secrets: Secrets) -> None:
        admin_url = programs.admin_url
        with self._output.step("Postgres"):
            asyncio.run(wait_until_ready(admin_url, is_alive=self._is_postgres_alive, progress=self._output.note))
            asyncio.run(ensure_database(admin_url, secrets.owner_password))
        with self._output.step("migrations and roles"):
            self._run_command("migrate", {"GOSPABLIK_DATABASE_DIRECT_URL": programs.owner_url})
            asyncio.run(ensure_logins(admin_url, secrets.service_passwords))
            shift = self._settings.clock_shift_seconds
            asyncio.run(shift_database_clock(with_database(admin_url, DATABASE), SERVICES, shift))
        with self._output.step("routing rules"):
            self._run_command("starter-rules", programs.service_environment("appeals"))

    def _is_postgres_alive(self) -> bool:
        if self._server is None or self._supervisor is None:
            return True
        return self._supervisor.states()["postgres"].state != "FATAL"

    def _run_command(self, name: str, settings: Mapping[str, str]) -> None:
        environment = os.environ | dict(settings) | {orphan_processes.RUN_MARKER: str(self._data_dir.root)}
        done = subprocess.run(  # noqa: S603 - our own command
            [*CLI_COMMAND, name], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StartError(f"`gospablik {name}` failed:\n{_last_lines(done.stdout + done.stderr)}")

    def _wait_http(self, name: str, url: str) -> None:
        """Wait until the process responds with 200, or raise StartError with the end of its log."""
        assert self._supervisor is not None
        deadline = time.monotonic() + _READY_SECONDS
        answer = ""
        while True:
            try:
                with urlopen(url, timeout=5) as response:  # noqa: S310 - our own address
                    if response.status == 200:
                        return
            except (URLError, OSError) as error:
                answer = str(error)
            state = self._supervisor.states()[name]
            if state.state == "FATAL" or time.monotonic() > deadline:
                raise StartError(f"{name} is not ready ({answer}); the end of its log:\n{self._log_end(name)}")
            time.sleep(0.1)

    def _log_end(self, name: str) -> str:
        path = self._data_dir.logs / f"{name}.log"
        if not path.exists():
            return "(no log)"
        return _last_lines(path.read_text(encoding="utf-8", errors="replace"))

    def _write_run_info(self, programs: ProgramSpecs, *, ready: bool) -> None:
        assert self._supervisor is not None
        document: dict[str, Any] = {
            "pid": os.getpid(),
            "ready": ready,
            "supervisor_socket": str(self._supervisor.socket),
            "urls": {name: self._settings.url(name) for name in self._settings.ports() if name != "postgres"},
            "admin_url": programs.admin_url,
            "owner_url": programs.owner_url,
        }
        write_private(self._data_dir.run_info, json.dumps(document, indent=2))

    def _watch(self) -> None:
        assert self._supervisor is not None
        monitor = CrashMonitor(self._supervisor, self._output.note, self._data_dir.logs)
        while True:
            monitor.check()
            time.sleep(0.5)

    def _stop(self) -> None:
        """Stop every process. A second Ctrl-C does not interrupt this, because every step has a timeout."""
        former = {number: signal.signal(number, signal.SIG_IGN) for number in _STOP_SIGNALS}
        try:
            self._data_dir.run_info.unlink(missing_ok=True)
            if self._supervisor is None:
                # A signal may have come after supervisord was started, and before its process was stored.
                orphan_processes.stop_orphans(self._data_dir)
                return
            with self._output.step("stopped"):
                self._supervisor.shut_down(last=("postgres",))
                orphan_processes.stop_orphans(self._data_dir)
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-_LOG_LINES:])


# SIGHUP too: a closed terminal must not leave processes behind.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _interrupt_on_stop_signals() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
