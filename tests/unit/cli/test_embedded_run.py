"""The run of the whole system on one machine, without its programs."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from cli.embedded import orphan_processes, up
from cli.embedded.data_dir import DataDir
from cli.embedded.settings import EmbeddedSettings
from cli.embedded.supervisord import Program, Supervisor


def test_stop_signal_during_the_start_of_supervisord_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def interrupted(data_dir: DataDir, _programs: list[Program]) -> Supervisor:
        # The signal comes after the process exists, and before anybody knows its id.
        environment = os.environ | {orphan_processes.RUN_MARKER: str(data_dir.root)}
        started.append(subprocess.Popen(["/bin/sleep", "600"], env=environment))
        assert orphan_processes.find_orphans(data_dir) != []
        raise KeyboardInterrupt

    monkeypatch.setattr(Supervisor, "start", interrupted)
    monkeypatch.setattr(up, "check_ports", lambda _settings: None)
    settings = EmbeddedSettings(data_dir=tmp_path / "data", database_admin_url="postgresql://127.0.0.1:1/postgres")
    run = up.EmbeddedRun(settings, with_demo=False, console=Console(file=io.StringIO()))
    try:
        assert run.run() == 0
        assert [process.poll() is not None for process in started] == [True]
    finally:
        for process in started:
            process.kill()
            process.wait()
