"""Supervisord with small programs: restarts, order, and no processes left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from cli.embedded import orphan_processes
from cli.embedded.crash_monitor import CrashMonitor
from cli.embedded.data_dir import DataDir
from cli.embedded.supervisord import Program, Supervisor, SupervisorError, render
from tests.support.eventually import eventually_blocking

_SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
# A process that starts a child and ignores SIGTERM.
_STUBBORN = (
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)",
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[DataDir]:
    data_dir = DataDir.prepare(tmp_path / "data")
    yield data_dir
    orphan_processes.stop_orphans(data_dir, timeout_seconds=2)
    assert orphan_processes.find_orphans(data_dir) == []


def _running(supervisor: Supervisor, name: str) -> Callable[[], bool]:
    return lambda: supervisor.states()[name].state == "RUNNING"


def test_crashed_process_is_restarted_and_reported(data_dir: DataDir) -> None:
    supervisor = Supervisor.start(data_dir, [Program("one", _SLEEP), Program("two", _SLEEP)])
    messages: list[str] = []
    monitor = CrashMonitor(supervisor, messages.append, data_dir.logs)
    for name in ("one", "two"):
        supervisor.run(name)
    eventually_blocking(_running(supervisor, "one"))
    eventually_blocking(_running(supervisor, "two"))
    eventually_blocking(lambda: "up" in (data_dir.logs / "one.log").read_text())
    monitor.check()
    dead = supervisor.states()["one"].pid
    os.kill(dead, signal.SIGKILL)
    eventually_blocking(lambda: supervisor.states()["one"].pid not in (0, dead))
    monitor.check()
    assert len(messages) == 1
    assert messages[0].startswith(f"one crashed and was restarted (process {dead} →")
    eventually_blocking(lambda: (data_dir.logs / "one.log").read_text().count("up") == 2)
    supervisor.shut_down(last=("two",))
    assert orphan_processes.find_orphans(data_dir) == []


def test_stopped_process_is_not_reported_as_crashed(data_dir: DataDir) -> None:
    supervisor = Supervisor.start(data_dir, [Program("one", _SLEEP)])
    messages: list[str] = []
    monitor = CrashMonitor(supervisor, messages.append, data_dir.logs)
    supervisor.run("one")
    eventually_blocking(_running(supervisor, "one"))
    monitor.check()
    supervisor.stop("one")
    monitor.check()
    supervisor.run("one")
    eventually_blocking(_running(supervisor, "one"))
    monitor.check()
    assert messages == []
    supervisor.shut_down()


def test_failed_process_is_started_again(data_dir: DataDir) -> None:
    class Dead:
        started = 0

        def states(self) -> dict[str, object]:
            return {"one": type("State", (), {"state": "FATAL", "pid": 0})()}

        def run(self, name: str) -> None:
            assert name == "one"
            self.started += 1

    dead, messages = Dead(), list[str]()
    monitor = CrashMonitor(dead, messages.append, data_dir.logs)  # type: ignore[arg-type]
    monitor.check()
    monitor.check()
    assert dead.started == 1
    assert len(messages) == 1
    assert "one.log" in messages[0]


def test_stop_ends_children_and_processes_that_ignore_sigterm(data_dir: DataDir) -> None:
    supervisor = Supervisor.start(data_dir, [Program("stubborn", _STUBBORN, stop_seconds=1)])
    supervisor.run("stubborn")
    eventually_blocking(lambda: len(orphan_processes.find_orphans(data_dir)) == 3)
    supervisor.shut_down()
    assert orphan_processes.find_orphans(data_dir) == []


def test_orphans_of_a_killed_supervisor_are_stopped(data_dir: DataDir) -> None:
    supervisor = Supervisor.start(data_dir, [Program("one", _SLEEP)])
    supervisor.run("one")
    eventually_blocking(_running(supervisor, "one"))
    supervisor.kill()
    assert not supervisor.is_responding()
    assert orphan_processes.stop_orphans(data_dir) == 1
    assert orphan_processes.find_orphans(data_dir) == []


def test_orphans_of_another_data_folder_are_not_stopped(data_dir: DataDir, tmp_path: Path) -> None:
    supervisor = Supervisor.start(data_dir, [Program("one", _SLEEP)])
    assert orphan_processes.stop_orphans(DataDir.prepare(tmp_path / "other")) == 0
    assert supervisor.is_responding()
    supervisor.shut_down()


@pytest.mark.parametrize("hidden", [False, True])
def test_postgres_of_another_data_folder_with_the_same_process_id_is_not_stopped(
    data_dir: DataDir, monkeypatch: pytest.MonkeyPatch, *, hidden: bool
) -> None:
    """`hidden`: in a container, root may not see the folders in which other users' processes work."""
    if hidden:
        monkeypatch.setattr(psutil.Process, "cwd", Mock(side_effect=psutil.AccessDenied))
    data, program = data_dir.postgres / "data", data_dir.root / "postgres-program"
    data.mkdir(parents=True)
    shutil.copy("/bin/sleep", program)
    foreign = subprocess.Popen([program, "600"], cwd=data_dir.root)
    ours = subprocess.Popen([program, "600"], cwd=data)
    try:
        # A killed server leaves its process id in the file; after a restart of the machine it may be another's.
        before = int(psutil.boot_time()) - 600
        (data / "postmaster.pid").write_text(f"{foreign.pid}\n{data}\n{before}\n", encoding="ascii")
        assert orphan_processes.stop_orphans(data_dir) == 0
        assert foreign.poll() is None
        (data / "postmaster.pid").write_text(f"{ours.pid}\n{data}\n{int(time.time())}\n", encoding="ascii")
        assert orphan_processes.stop_orphans(data_dir) == 1
        assert ours.poll() is not None
    finally:
        for process in (foreign, ours):
            process.kill()
            process.wait()


def test_long_path_of_the_data_folder_gets_a_short_socket_path(tmp_path: Path) -> None:
    data_dir = DataDir.prepare(tmp_path / ("long" * 30) / "with space")
    supervisor = Supervisor.start(data_dir, [Program("one", _SLEEP)])
    try:
        assert len(str(supervisor.socket)) < 90
        assert supervisor.states()["one"].state == "STOPPED"
    finally:
        supervisor.shut_down()
    assert not supervisor.socket.parent.exists()


def test_percent_signs_are_escaped_and_quotes_refused(data_dir: DataDir) -> None:
    command = (sys.executable, "-c", "import os, time; print(os.environ['URL'], flush=True); time.sleep(600)")
    url = "postgresql://x:p%40ss@127.0.0.1/db?a=1,b=2"
    supervisor = Supervisor.start(data_dir, [Program("one", command, {"URL": url})])
    supervisor.run("one")
    log = data_dir.logs / "one.log"
    eventually_blocking(lambda: log.exists() and log.read_text().strip() == url)
    supervisor.shut_down()
    with pytest.raises(SupervisorError, match="must not contain a quote: see URL"):
        Supervisor.start(data_dir, [Program("one", command, {"URL": 'a"b'})])


@pytest.mark.parametrize("value", ["secret #1", "secret ;1", "secret\t#1", "secret\r1"])
def test_value_that_supervisor_would_cut_off_as_a_comment_is_refused(data_dir: DataDir, value: str) -> None:
    socket = data_dir.run / "supervisor.sock"
    with pytest.raises(SupervisorError, match="after a space: see PASSWORD") as refused:
        render([Program("one", _SLEEP, {"PASSWORD": value})], data_dir, socket)
    assert "secret" not in str(refused.value)
    with pytest.raises(SupervisorError, match="see the command of one"):
        render([Program("one", ("echo", value))], data_dir, socket)
    render([Program("one", _SLEEP, {"PASSWORD": "a#1;b"})], data_dir, socket)


@pytest.mark.parametrize("value", ["'secret", "secret'"])
def test_value_whose_apostrophe_supervisor_would_remove_is_refused(data_dir: DataDir, value: str) -> None:
    socket = data_dir.run / "supervisor.sock"
    with pytest.raises(SupervisorError, match="apostrophe: see PASSWORD"):
        render([Program("one", _SLEEP, {"PASSWORD": value})], data_dir, socket)
    render([Program("one", _SLEEP, {"PASSWORD": "a'b"})], data_dir, socket)


def test_supervisor_whose_start_is_interrupted_is_not_left_behind(
    data_dir: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Supervisor) -> bool:
        assert orphan_processes.find_orphans(data_dir) != []
        raise KeyboardInterrupt

    monkeypatch.setattr(Supervisor, "is_responding", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Supervisor.start(data_dir, [Program("one", _SLEEP)])
    assert orphan_processes.find_orphans(data_dir) == []


def test_short_folder_of_the_socket_is_removed_after_a_failed_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = DataDir.prepare(tmp_path / ("long" * 30))
    short = tmp_path / "short"
    short.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    with pytest.raises(SupervisorError, match="did not start"):
        Supervisor.start(data_dir, [Program("one", _SLEEP)], wait_seconds=-1)
    assert list(short.iterdir()) == []


def test_missing_program_is_reported(data_dir: DataDir) -> None:
    supervisor = Supervisor.start(data_dir, [Program("ghost", ("/nowhere/ghost",))])
    try:
        with pytest.raises(SupervisorError, match="refused"):
            supervisor.run("ghost")
    finally:
        supervisor.shut_down()
