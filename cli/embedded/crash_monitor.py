"""Report processes that crashed and were restarted by supervisor."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cli.embedded.supervisord import ProcessState

_RETRY_SECONDS = 10.0


class Supervised(Protocol):
    """The methods of supervisor that the monitor needs."""

    def states(self) -> dict[str, ProcessState]: ...

    def run(self, name: str) -> None: ...


@dataclass
class CrashMonitor:
    """Compares the states of the processes with those of the last check and reports changes."""

    supervisor: Supervised
    report: Callable[[str], None]
    logs: Path
    _pids: dict[str, int] = field(default_factory=dict)
    _down: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Compare once and report. Raises SupervisorError when supervisor has ended."""
        for name, now in self.supervisor.states().items():
            before = self._pids.get(name)
            if now.state in ("RUNNING", "STARTING") and now.pid:
                if before is not None and before != now.pid:
                    self.report(f"{name} crashed and was restarted (process {before} → {now.pid})")
                self._pids[name] = now.pid
                self._down.pop(name, None)
            elif now.state == "STOPPED":
                # Stopped on purpose: a new process id is not a crash.
                self._pids.pop(name, None)
            elif now.state == "FATAL":
                self._retry(name)

    def _retry(self, name: str) -> None:
        """Start a process again after supervisor gave up, because the service it waits for may be up now."""
        now = time.monotonic()
        if name not in self._down:
            self.report(f"{name} does not stay up; trying again. Its log: {self.logs / name}.log")
        elif now - self._down[name] < _RETRY_SECONDS:
            return
        self._down[name] = now
        self.supervisor.run(name)
