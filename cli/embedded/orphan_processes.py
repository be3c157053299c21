"""Processes that a killed run left behind, found by the mark in their environment and ended."""

import os
import signal
from pathlib import Path

import psutil

from cli.embedded.data_dir import Layout

MARKER = "GOSPABLIK_STACK"

_FOREIGN = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


def postmaster(layout: Layout) -> int | None:
    """The process id that a running or killed server left in its data folder."""
    home = layout.remembered().get("postgres_home")
    if home is None:
        return None
    try:
        first, *_ = (Path(home) / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    return int(first)


def find(layout: Layout) -> list[psutil.Process]:
    """Processes of the run that owns this data folder, supervisord first.

    Postgres overwrites its own environment, so it is recognised by the pid in its data folder
    together with its program's name: a pid alone may have passed to somebody else.
    """
    server_pid = postmaster(layout)
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            marked = process.environ().get(MARKER) == str(layout.root)
            server = process.pid == server_pid and "postgres" in process.name()
        except _FOREIGN:
            continue
        if marked or server:
            found.append(process)
    return sorted(found, key=lambda process: not _is_supervisor(process))


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        return any("supervisor" in part for part in process.cmdline())
    except _FOREIGN:
        return False


def end(layout: Layout, patience: float = 15) -> int:
    """End what `find` finds, gently first; answers how many there were.

    Supervisord is killed first, so that it restarts nothing; Postgres gets its fast shutdown.
    """
    server_pid = postmaster(layout)
    processes = find(layout)
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
    _, stubborn = psutil.wait_procs(processes, timeout=patience)
    for process in stubborn:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(stubborn, timeout=patience)
    return len(processes)
