"""Real supervisord over small programs: restarts, order, and nothing left behind."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.embedded import orphan_processes
from cli.embedded.crash_monitor import Watch
from cli.embedded.data_dir import Layout
from cli.embedded.supervisord import Program, Supervisor, SupervisorError
from tests.support.eventually import eventually_blocking

_SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
# A process that starts another one and ignores the polite signal.
_STUBBORN = (
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)",
)


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout.prepare(tmp_path / "data")
    yield layout
    orphan_processes.end(layout, patience=2)
    assert orphan_processes.find(layout) == []


def _running(supervisor: Supervisor, name: str) -> Callable[[], bool]:
    return lambda: supervisor.states()[name].state == "RUNNING"


def test_a_crashed_process_is_restarted_and_told(layout: Layout) -> None:
    supervisor = Supervisor.start(layout, [Program("one", _SLEEP), Program("two", _SLEEP)])
    said: list[str] = []
    watch = Watch(supervisor, said.append, layout.logs)
    for name in ("one", "two"):
        supervisor.run(name)
    eventually_blocking(_running(supervisor, "one"))
    eventually_blocking(_running(supervisor, "two"))
    watch.look()
    dead = supervisor.states()["one"].pid
    os.kill(dead, signal.SIGKILL)
    eventually_blocking(lambda: supervisor.states()["one"].pid not in (0, dead))
    watch.look()
    assert len(said) == 1
    assert said[0].startswith(f"one crashed and was restarted (process {dead} →")
    eventually_blocking(lambda: (layout.logs / "one.log").read_text().count("up") == 2)
    supervisor.shut_down(last=("two",))
    assert orphan_processes.find(layout) == []


def test_a_process_stopped_on_purpose_has_not_crashed(layout: Layout) -> None:
    supervisor = Supervisor.start(layout, [Program("one", _SLEEP)])
    said: list[str] = []
    watch = Watch(supervisor, said.append, layout.logs)
    supervisor.run("one")
    eventually_blocking(_running(supervisor, "one"))
    watch.look()
    supervisor.stop("one")
    watch.look()
    supervisor.run("one")
    eventually_blocking(_running(supervisor, "one"))
    watch.look()
    assert said == []
    supervisor.shut_down()


def test_a_process_that_gives_up_is_started_again(layout: Layout) -> None:
    class Dead:
        started = 0

        def states(self) -> dict[str, object]:
            return {"one": type("State", (), {"state": "FATAL", "pid": 0})()}

        def run(self, name: str) -> None:
            assert name == "one"
            self.started += 1

    dead, said = Dead(), list[str]()
    watch = Watch(dead, said.append, layout.logs)  # type: ignore[arg-type]
    watch.look()
    watch.look()
    assert dead.started == 1
    assert len(said) == 1
    assert "one.log" in said[0]


def test_stopping_ends_children_and_the_deaf(layout: Layout) -> None:
    supervisor = Supervisor.start(layout, [Program("deaf", _STUBBORN, stop_seconds=1)])
    supervisor.run("deaf")
    eventually_blocking(lambda: len(orphan_processes.find(layout)) == 3)
    supervisor.shut_down()
    assert orphan_processes.find(layout) == []


def test_leftovers_of_a_killed_supervisor_are_found_and_ended(layout: Layout) -> None:
    supervisor = Supervisor.start(layout, [Program("one", _SLEEP)])
    supervisor.run("one")
    eventually_blocking(_running(supervisor, "one"))
    supervisor.kill()
    assert not supervisor.answers()
    assert orphan_processes.end(layout) == 1
    assert orphan_processes.find(layout) == []


def test_leftovers_of_another_folder_are_left_alone(layout: Layout, tmp_path: Path) -> None:
    supervisor = Supervisor.start(layout, [Program("one", _SLEEP)])
    assert orphan_processes.end(Layout.prepare(tmp_path / "other")) == 0
    assert supervisor.answers()
    supervisor.shut_down()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    layout = Layout.prepare(tmp_path / ("long" * 30) / "with space")
    supervisor = Supervisor.start(layout, [Program("one", _SLEEP)])
    try:
        assert len(str(supervisor.socket)) < 90
        assert supervisor.states()["one"].state == "STOPPED"
    finally:
        supervisor.shut_down()
    assert not supervisor.socket.parent.exists()


def test_percent_signs_and_quotes_in_values(layout: Layout) -> None:
    command = (sys.executable, "-c", "import os, time; print(os.environ['URL'], flush=True); time.sleep(600)")
    url = "postgresql://x:p%40ss@127.0.0.1/db?a=1,b=2"
    supervisor = Supervisor.start(layout, [Program("one", command, {"URL": url})])
    supervisor.run("one")
    log = layout.logs / "one.log"
    eventually_blocking(lambda: log.exists() and log.read_text().strip() == url)
    supervisor.shut_down()
    with pytest.raises(ValueError, match="cannot hold"):
        Supervisor.start(layout, [Program("one", command, {"URL": 'a"b'})])


def test_a_program_that_is_not_there_is_told(layout: Layout) -> None:
    supervisor = Supervisor.start(layout, [Program("ghost", ("/nowhere/ghost",))])
    try:
        with pytest.raises(SupervisorError, match="refused"):
            supervisor.run("ghost")
    finally:
        supervisor.shut_down()
