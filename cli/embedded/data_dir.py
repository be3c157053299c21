"""The folders of one run and the lock that keeps a second run out of them."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.atomic_files import write_private


class AlreadyRunningError(Exception):
    """Another `gospablik up` holds this data folder."""


@dataclass(frozen=True)
class Layout:
    """Paths below the data folder; `prepare` makes them."""

    root: Path

    @property
    def secrets(self) -> Path:
        """Generated passwords and keys of encryption."""
        return self.root / "secrets"

    @property
    def keys(self) -> Path:
        """Signing keys (JWK) of services and people."""
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What only a live run needs: lock, supervisor's configuration and socket, addresses."""
        return self.root / "run"

    @property
    def emulators(self) -> Path:
        """State of the emulated networks."""
        return self.root / "emulators"

    @property
    def memory(self) -> Path:
        """What the run remembers about itself between starts."""
        return self.root / "embedded.json"

    @property
    def stack(self) -> Path:
        """Addresses of the live run, for tools and tests."""
        return self.run / "stack.json"

    @classmethod
    def prepare(cls, root: Path) -> "Layout":
        """Make the folders; only those made here get rights, no parent is touched."""
        layout = cls(root.absolute())
        if not layout.root.exists():
            layout.root.mkdir(parents=True)
            # Postgres runs as another user when we are root: it must be able to pass, not to list.
            layout.root.chmod(0o711)
        for folder in (layout.secrets, layout.keys, layout.logs, layout.run, layout.emulators):
            folder.mkdir(mode=0o700, exist_ok=True)
        return layout

    def remembered(self) -> dict[str, Any]:
        """What former runs remembered."""
        if not self.memory.exists():
            return {}
        found: dict[str, Any] = json.loads(self.memory.read_text(encoding="utf-8"))
        return found

    def remember(self, **facts: Any) -> None:
        """Add facts for later runs."""
        write_private(self.memory, json.dumps(self.remembered() | facts, indent=2))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the data folder; raises AlreadyRunningError with the holder's pid."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.read(descriptor, 32).decode().strip() or "unknown"
                raise AlreadyRunningError(
                    f"{self.root} is in use by another run (process {holder}); "
                    "stop it with Ctrl-C, or choose another folder with GOSPABLIK_DATA_DIR"
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)
