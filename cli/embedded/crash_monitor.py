"""Watching a live run: a process that crashed is restarted by supervisor and shown here."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cli.embedded.supervisord import ProcessState

_RETRY_SECONDS = 10.0


class Supervised(Protocol):
    """The part of supervisor that watching needs."""

    def states(self) -> dict[str, ProcessState]: ...

    def run(self, name: str) -> None: ...


@dataclass
class Watch:
    """Compares supervisor's picture with the last one and says what changed."""

    supervisor: Supervised
    say: Callable[[str], None]
    logs: Path
    _pids: dict[str, int] = field(default_factory=dict)
    _down: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """One look; raises SupervisorError when supervisor is gone."""
        for name, now in self.supervisor.states().items():
            before = self._pids.get(name)
            if now.state in ("RUNNING", "STARTING") and now.pid:
                if before is not None and before != now.pid:
                    self.say(f"{name} crashed and was restarted (process {before} → {now.pid})")
                self._pids[name] = now.pid
                self._down.pop(name, None)
            elif now.state == "STOPPED":
                # Stopped on purpose: its next process is no sign of a crash.
                self._pids.pop(name, None)
            elif now.state == "FATAL":
                self._retry(name)

    def _retry(self, name: str) -> None:
        """Supervisor gives up after ten tries; a service that waits for another must not stay down."""
        moment = time.monotonic()
        if name not in self._down:
            self.say(f"{name} does not stay up; trying again. Its log: {self.logs / name}.log")
        elif moment - self._down[name] < _RETRY_SECONDS:
            return
        self._down[name] = moment
        self.supervisor.run(name)
