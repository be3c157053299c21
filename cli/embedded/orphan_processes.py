"""Find and stop processes that a killed run left behind; a variable in their environment marks them."""

import os
import signal
from pathlib import Path

import psutil

from cli.embedded.data_dir import DataDir

RUN_MARKER = "GOSPABLIK_RUN"

# The start of a process is counted from that of the machine, whose clock may have been set since.
_START_TOLERANCE_SECONDS = 30
# Greater than every process id.
_NO_PROCESS = 2**31 - 1
_ACCESS_ERRORS = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


def find_server(data_dir: DataDir) -> psutil.Process | None:
    """Return the running Postgres of this data folder, or None.

    It wrote its process id and start there. A killed server leaves the id behind, and another installation's
    Postgres may have it after a restart of the machine; but a server works in its own data folder.
    """
    found = _named_server(data_dir)
    return found[0] if found is not None and found[1] else None


def release_process_id(data_dir: DataDir) -> None:
    """Take the process id of a killed server out of its data folder, if another process has it now.

    Postgres takes every process of its user with this id for a running server, and does not start. The rest of the
    file stays: Postgres recognises by it whether a part of the killed server still runs.
    """
    found = _named_server(data_dir)
    if found is None or found[1]:
        return
    path = _server_file(data_dir)
    if path is None:
        return
    _, end, rest = path.read_bytes().partition(b"\n")
    # One write, not shorter than the former content: at no time is the file empty.
    with path.open("r+b", buffering=0) as file:
        file.write(str(_NO_PROCESS).encode() + end + rest)


def _server_file(data_dir: DataDir) -> Path | None:
    home = data_dir.find_postgres_home()
    return None if home is None else home / "data" / "postmaster.pid"


def _named_server(data_dir: DataDir) -> tuple[psutil.Process, bool] | None:
    """Return the process whose id the server wrote, and whether it is the server; None if this is unknown."""
    path = _server_file(data_dir)
    if path is None:
        return None
    try:
        first, _, started, *_ = path.read_text(encoding="ascii").splitlines()
        process = psutil.Process(int(first))
        if "postgres" not in process.name():
            return process, False
        try:
            return process, path.parent.samefile(process.cwd())
        except psutil.AccessDenied:
            # In a container, root may not see where another user's process works.
            same_start = abs(process.create_time() - int(started)) < _START_TOLERANCE_SECONDS
            return (process, True) if same_start else None
    except (ValueError, *_ACCESS_ERRORS):
        return None


def find_orphans(data_dir: DataDir) -> list[psutil.Process]:
    """Return the processes of the run that owns this data folder, supervisord first.

    Postgres overwrites its own environment, so it is recognised by its data folder.
    """
    server = find_server(data_dir)
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            ours = process == server or process.environ().get(RUN_MARKER) == str(data_dir.root)
        except _ACCESS_ERRORS:
            continue
        if ours:
            found.append(process)
    return sorted(found, key=lambda process: not _is_supervisor(process))


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        return any("supervisor" in part for part in process.cmdline())
    except _ACCESS_ERRORS:
        return False


def stop_orphans(data_dir: DataDir, timeout_seconds: float = 15) -> int:
    """Stop the processes that `find_orphans` returns, then kill those that remain. Return their number.

    Supervisord is killed first, so that it restarts nothing; Postgres gets a fast shutdown.
    """
    server = find_server(data_dir)
    processes = find_orphans(data_dir)
    for process in processes:
        try:
            if _is_supervisor(process):
                process.kill()
            elif process == server:
                process.send_signal(signal.SIGINT)
            else:
                process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, remaining = psutil.wait_procs(processes, timeout=timeout_seconds)
    for process in remaining:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(remaining, timeout=timeout_seconds)
    return len(processes)
