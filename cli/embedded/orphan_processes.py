"""Find and stop processes that a killed run left behind; a variable in their environment marks them."""

import os
import signal
from pathlib import Path

import psutil

from cli.embedded.data_dir import DataDir

RUN_MARKER = "GOSPABLIK_RUN"

_ACCESS_ERRORS = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


def postmaster_pid(data_dir: DataDir) -> int | None:
    """Return the process id that a running or killed server wrote into its data folder, or None."""
    home = data_dir.load_state().get("postgres_home")
    if home is None:
        return None
    try:
        first, *_ = (Path(home) / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    return int(first)


def find_orphans(data_dir: DataDir) -> list[psutil.Process]:
    """Return the processes of the run that owns this data folder, supervisord first.

    Postgres overwrites its own environment, so it is recognised by the process id in its data folder
    and by its program's name: the process id alone may have been reused.
    """
    server_pid = postmaster_pid(data_dir)
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            marked = process.environ().get(RUN_MARKER) == str(data_dir.root)
            server = process.pid == server_pid and "postgres" in process.name()
        except _ACCESS_ERRORS:
            continue
        if marked or server:
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
    server_pid = postmaster_pid(data_dir)
    processes = find_orphans(data_dir)
    for process in processes:
        try:
            if _is_supervisor(process):
                process.kill()
            elif process.pid == server_pid:
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
