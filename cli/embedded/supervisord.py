"""Supervisor: its configuration, its process, and the calls to it."""

import http.client
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ProtocolError, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from cli.atomic_files import write_private
from cli.embedded.data_dir import DataDir
from cli.embedded.orphan_processes import RUN_MARKER

# The path of a unix socket has at most 107 bytes, and supervisor appends its pid while it creates the socket.
_MAX_SOCKET_PATH = 90

STOPPED_STATES = {"STOPPED", "EXITED", "FATAL"}


class SupervisorError(Exception):
    """Supervisor did not start, does not respond, refused a call, or did not stop its processes in time."""


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    # False: only the process gets the stop signal, because it stops its children itself.
    signal_group: bool = True


@dataclass(frozen=True)
class ProcessState:
    """The state of one process, as supervisor reports it."""

    name: str
    state: str
    pid: int
    exit_status: int
    started: int
    problem: str


# A number sign or semicolon after white space begins a comment, also between quotes.
_COMMENT = re.compile(r"\s[#;]")


def _escape(text: str, name: str) -> str:
    """Return a value for supervisor's configuration. Raises `SupervisorError` that has its name only."""
    if '"' in text:
        raise SupervisorError(f"supervisor's configuration must not contain a quote: see {name}")
    if text.strip("'") != text:
        raise SupervisorError(
            f"a value in supervisor's configuration must not begin or end with an apostrophe: see {name}"
        )
    return _escape_comments(text, name)


def _escape_comments(text: str, name: str) -> str:
    if "\n" in text or "\r" in text or _COMMENT.search(text):
        raise SupervisorError(
            "supervisor's configuration must not contain a line break, nor a number sign or semicolon after a "
            f"space: see {name}"
        )
    return text.replace("%", "%%")


def render(programs: Sequence[Program], data_dir: DataDir, socket: Path) -> str:
    """Return supervisor's configuration: it restarts programs after a crash, and the run starts them."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_escape(str(data_dir.logs / 'supervisor.log'), 'the data folder')}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={_escape(str(data_dir.run / 'supervisor.pid'), 'the data folder')}",
        f"childlogdir={_escape(str(data_dir.logs), 'the data folder')}",
        *(["user=root"] if os.geteuid() == 0 else []),
        "[unix_http_server]",
        f"file={_escape(str(socket), 'the data folder')}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        environment = ",".join(f'{key}="{_escape(value, key)}"' for key, value in program.environment.items())
        lines += [
            f"[program:{program.name}]",
            f"command={_escape_comments(shlex.join(program.command), f'the command of {program.name}')}",
            f"environment={environment}",
            *([f"user={program.user}", "directory=/"] if program.user else []),
            "autostart=false",
            "autorestart=true",
            "startsecs=1",
            # Each retry waits a second longer: a dead server may hold its ports and children for a while.
            "startretries=10",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_seconds}",
            f"stopasgroup={str(program.signal_group).lower()}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_escape(str(data_dir.logs / program.name), 'the data folder')}.log",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=3",
        ]
    return "\n".join(lines) + "\n"


class Supervisor:
    """A running supervisord, reached over its unix socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None

    @classmethod
    def start(cls, data_dir: DataDir, programs: Sequence[Program], wait_seconds: float = 20) -> "Supervisor":
        """Start supervisord without its programs. Raises SupervisorError, with its output, if that fails."""
        socket = data_dir.run / "supervisor.sock"
        temporary = None
        if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
            temporary = Path(tempfile.mkdtemp(prefix="gospablik-"))
            socket = temporary / "s"
        socket.unlink(missing_ok=True)
        configuration = data_dir.run / "supervisor.conf"
        write_private(configuration, render(programs, data_dir, socket))
        self = cls(socket)
        self._temporary = temporary
        output = data_dir.logs / "supervisor.start.log"
        try:
            with output.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {RUN_MARKER: str(data_dir.root)},
                    # In its own session, supervisord gets no Ctrl-C: this process stops the programs in order.
                    start_new_session=True,
                )
            self._wait_until_responding(output, wait_seconds)
        except BaseException:  # a stop signal too: the caller has no reference to the process yet
            self.kill()
            raise
        return self

    def _wait_until_responding(self, output: Path, wait_seconds: float) -> None:
        deadline = time.monotonic() + wait_seconds
        while not self.is_responding():
            if not self._is_alive() or time.monotonic() > deadline:
                raise SupervisorError(f"supervisor did not start:\n{output.read_text(errors='replace')}")
            time.sleep(0.05)

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def is_responding(self) -> bool:
        """Return whether supervisord responds."""
        try:
            self._call("supervisor.getState")
        except SupervisorError:
            return False
        return True

    def states(self) -> dict[str, ProcessState]:
        """Return the state of every process, by name."""
        rows = cast(list[dict[str, Any]], self._call("supervisor.getAllProcessInfo"))
        return {
            row["name"]: ProcessState(
                row["name"],
                row["statename"],
                row["pid"],
                row["exitstatus"],
                row["start"],
                row["spawnerr"] or row["description"],
            )
            for row in rows
        }

    def run(self, name: str) -> None:
        """Start one process without waiting; a running process is left unchanged."""
        self._call("supervisor.startProcess", name, False, tolerate=Faults.ALREADY_STARTED)

    def stop(self, name: str, wait_seconds: float = 60) -> None:
        """Stop one process and wait until it has ended."""
        self._stop([name], wait_seconds)

    def kill_process(self, name: str) -> int:
        """Kill one process, to simulate a crash. Return the id of the killed process."""
        pid = self.states()[name].pid
        self._call("supervisor.signalProcess", name, "KILL")
        return pid

    def shut_down(self, last: Sequence[str] = ()) -> None:
        """Stop all processes together, those in `last` after the others, then supervisord itself."""
        try:
            names = set(self.states())
            self._stop(sorted(names - set(last)), 60)
            self._stop([name for name in last if name in names], 120)
            self._call("supervisor.shutdown")
        except SupervisorError:
            self.kill()
        if self._process is not None:
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        self._remove_temporary()

    def kill(self) -> None:
        """Kill supervisord but not its processes: stop these with `orphan_processes.stop_orphans`."""
        if self._process is not None and self._is_alive():
            self._process.kill()
            self._process.wait()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _stop(self, names: Sequence[str], wait_seconds: float) -> None:
        deadline = time.monotonic() + wait_seconds
        for name in names:
            self._call("supervisor.stopProcess", name, False, tolerate=Faults.NOT_RUNNING)
        while any(self.states()[name].state not in STOPPED_STATES for name in names):
            if time.monotonic() > deadline:
                raise SupervisorError(f"processes did not stop within {wait_seconds:.0f} s")
            time.sleep(0.05)

    def _call(self, method: str, *arguments: Any, tolerate: int | None = None) -> Any:
        # A new connection for each call: concurrent calls are safe, and no broken connection is reused.
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy, method)(*arguments)
        except Fault as fault:
            if fault.faultCode == tolerate:
                return None
            raise SupervisorError(f"supervisor refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, ProtocolError) as error:
            raise SupervisorError(f"supervisor does not respond: {error}") from error
