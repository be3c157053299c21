"""The embedded run from the first step to the last."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console

from cli.atomic_files import write_private
from cli.demo import seed
from cli.demo.demo_api import DemoError
from cli.deployment.provisioning import DatabaseError, ensure_database, ensure_logins, wait_until_ready
from cli.deployment.signing_keys import ensure_keys
from cli.embedded import orphan_processes
from cli.embedded.console_output import Steps
from cli.embedded.crash_monitor import Watch
from cli.embedded.data_dir import AlreadyRunningError, Layout
from cli.embedded.ports import PortTakenError, check_ports
from cli.embedded.postgres import Postgres, PostgresSetupError, locate
from cli.embedded.programs import GOSPABLIK, Processes
from cli.embedded.secrets import Secrets, load_secrets
from cli.embedded.settings import NETWORKS, SERVICES, EmbeddedSettings
from cli.embedded.supervisord import Supervisor, SupervisorError

_READY_SECONDS = 60.0
_LOG_LINES = 15


class StartError(Exception):
    """A process of the run did not come up; the message holds the end of its log."""


class EmbeddedRun:
    """One run of everything on this machine."""

    def __init__(self, settings: EmbeddedSettings, *, with_demo: bool, console: Console) -> None:
        self._settings = settings
        self._with_demo = with_demo
        self._steps = Steps(console)
        self._layout = Layout.prepare(settings.data_dir)
        self._supervisor: Supervisor | None = None
        self._server: Postgres | None = None

    def run(self) -> int:
        """Start everything, watch it until Ctrl-C or SIGTERM, stop everything; answers the exit code."""
        with _every_stop_is_ctrl_c():
            try:
                with self._layout.lock():
                    return self._run_locked()
            except AlreadyRunningError as error:
                self._steps.fail(str(error))
                return 1

    def _run_locked(self) -> int:
        code = 0
        try:
            self._start()
            self._watch()
        except KeyboardInterrupt:
            self._steps.note("stopping")
        except (
            DatabaseError,
            DemoError,
            PortTakenError,
            PostgresSetupError,
            StartError,
            SupervisorError,
        ) as error:
            self._steps.fail(str(error))
            code = 1
        finally:
            self._stop()
        return code

    def _start(self) -> None:
        settings, layout = self._settings, self._layout
        if settings.database_admin_url is None:
            self._server = locate(layout)
        self._end_leftovers()
        check_ports(settings)
        with self._steps.step("secrets and signing keys"):
            secrets = load_secrets(layout.secrets)
            ensure_keys(layout.keys)
        if self._server and self._server.initialise(secrets.superuser_password):
            self._steps.note(f"a new database in {self._server.home}")
        processes = Processes(settings, layout, secrets)
        supervisor = self._supervisor = Supervisor.start(layout, processes.all(self._server))
        self._write_stack(processes, ready=False)
        for name in (*(["postgres"] if self._server else []), *NETWORKS, "desk", "traefik"):
            supervisor.run(name)
        self._prepare_database(processes, secrets)
        for name in SERVICES:
            supervisor.run(name)
        for network in NETWORKS:
            with self._steps.step(f"emulator of {network.upper()} on {settings.url(network)}"):
                self._wait_http(network, f"{settings.url(network)}/_control/pages")
        for name in SERVICES:
            with self._steps.step(f"{name} on {settings.url(name)}"):
                self._wait_http(name, f"{settings.url(name)}/health/ready")
        with self._steps.step(f"gateway on {settings.url('gateway')}"):
            self._wait_http("traefik", f"{settings.url('gateway')}/health")
        if self._with_demo:
            with self._steps.step("a region with its organisations and pages"):
                summary = seed.prepare(settings, layout, processes)
            self._steps.note(summary)
        self._write_stack(processes, ready=True)
        self._steps.closing_table(settings, demo=self._with_demo, logs=str(layout.logs))

    def _end_leftovers(self) -> None:
        if count := orphan_processes.end(self._layout):
            self._steps.note(f"ended {count} processes of a run that was killed")

    def _prepare_database(self, processes: Processes, secrets: Secrets) -> None:
        admin_url = processes.admin_url
        with self._steps.step("Postgres"):
            asyncio.run(wait_until_ready(admin_url, alive=self._postgres_lives, progress=self._steps.note))
            asyncio.run(ensure_database(admin_url, secrets.owner_password))
        with self._steps.step("migrations and roles"):
            self._migrate(processes.owner_url)
            asyncio.run(ensure_logins(admin_url, secrets.service_passwords))

    def _postgres_lives(self) -> bool:
        if self._server is None or self._supervisor is None:
            return True
        return self._supervisor.states()["postgres"].state != "FATAL"

    def _migrate(self, owner_url: str) -> None:
        environment = os.environ | {
            "GOSPABLIK_DATABASE_DIRECT_URL": owner_url,
            orphan_processes.MARKER: str(self._layout.root),
        }
        done = subprocess.run(  # noqa: S603 - our own command
            [*GOSPABLIK, "migrate"], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StartError(f"the migrations failed:\n{_end(done.stdout + done.stderr)}")

    def _wait_http(self, name: str, url: str) -> None:
        """Wait until the process answers 200, or raise StartError with the end of its log."""
        assert self._supervisor is not None
        deadline = time.monotonic() + _READY_SECONDS
        answer = ""
        while True:
            try:
                with urlopen(url, timeout=5) as response:  # noqa: S310 - our own http address
                    if response.status == 200:
                        return
            except (URLError, OSError) as error:
                answer = str(error)
            state = self._supervisor.states()[name]
            if state.state == "FATAL" or time.monotonic() > deadline:
                raise StartError(f"{name} is not ready ({answer}); the end of its log:\n{self._log_end(name)}")
            time.sleep(0.1)

    def _log_end(self, name: str) -> str:
        path = self._layout.logs / f"{name}.log"
        if not path.exists():
            return "(no log)"
        return _end(path.read_text(encoding="utf-8", errors="replace"))

    def _write_stack(self, processes: Processes, *, ready: bool) -> None:
        assert self._supervisor is not None
        document: dict[str, Any] = {
            "pid": os.getpid(),
            "ready": ready,
            "supervisor_socket": str(self._supervisor.socket),
            "urls": {name: self._settings.url(name) for name in self._settings.ports() if name != "postgres"},
            "admin_url": processes.admin_url,
            "owner_url": processes.owner_url,
        }
        write_private(self._layout.stack, json.dumps(document, indent=2))

    def _watch(self) -> None:
        assert self._supervisor is not None
        watch = Watch(self._supervisor, self._steps.note, self._layout.logs)
        while True:
            watch.look()
            time.sleep(0.5)

    def _stop(self) -> None:
        """Stop every process; a second Ctrl-C does not interrupt it, for each part has its own limit."""
        former = {number: signal.signal(number, signal.SIG_IGN) for number in _STOP_SIGNALS}
        try:
            self._layout.stack.unlink(missing_ok=True)
            if self._supervisor is None:
                return
            with self._steps.step("stopped"):
                self._supervisor.shut_down(last=("postgres",))
                orphan_processes.end(self._layout)
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _end(text: str) -> str:
    return "\n".join(text.splitlines()[-_LOG_LINES:])


# A closed terminal (SIGHUP) must leave nothing behind either.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _every_stop_is_ctrl_c() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
