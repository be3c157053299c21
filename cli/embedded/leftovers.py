"""Processes that a killed run left behind, found by the mark in their environment and ended."""

import os
from pathlib import Path

import psutil  # type: ignore[import-untyped]

MARKER = "GOSPABLIK_STACK"

_FOREIGN = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


def find(root: Path, postmaster: int | None = None) -> list[psutil.Process]:
    """Processes of the run that owns this data folder, supervisord first.

    Postgres overwrites its own environment, so it is recognised by the pid in its data folder
    together with its program's name: a pid alone may have passed to somebody else.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            marked = process.environ().get(MARKER) == str(root)
            server = process.pid == postmaster and "postgres" in process.name()
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


def end(root: Path, postmaster: int | None = None, patience: float = 15) -> int:
    """End what `find` finds, gently first; answers how many there were.

    Supervisord is killed first, so that it restarts nothing; Postgres gets its fast shutdown.
    """
    processes = find(root, postmaster)
    for process in processes:
        try:
            if _is_supervisor(process):
                process.kill()
            elif process.pid == postmaster:
                process.send_signal(2)
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
