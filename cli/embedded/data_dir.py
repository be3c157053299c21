"""The data folder of an embedded run, and the lock that prevents a second run in it."""

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
    """Another `gospablik up` uses this data folder."""


@dataclass(frozen=True)
class DataDir:
    """Paths below the data folder; `prepare` creates the folders."""

    root: Path

    @property
    def secrets(self) -> Path:
        """Return the folder of generated passwords and encryption keys."""
        return self.root / "secrets"

    @property
    def keys(self) -> Path:
        """Return the folder of the signing keys (JWK) of services and people."""
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        """Return the folder of the logs, one for each process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Return the folder of the current run: lock, supervisor's configuration and socket, addresses."""
        return self.root / "run"

    @property
    def emulators(self) -> Path:
        """Return the folder for the state of the emulated networks."""
        return self.root / "emulators"

    @property
    def attachments(self) -> Path:
        """Return the folder of the photos of replies."""
        return self.root / "attachments"

    @property
    def mail(self) -> Path:
        """Return the folder that stores e-mail instead of sending it."""
        return self.root / "mail"

    @property
    def postgres(self) -> Path:
        """Return the folder of the embedded server, unless its user cannot enter the data folder."""
        return self.root / "postgres"

    @property
    def state_file(self) -> Path:
        """Return the file of the state that is kept between runs."""
        return self.root / "state.json"

    @property
    def run_info(self) -> Path:
        """Return the file with the addresses of the current run, for tools and tests."""
        return self.run / "run.json"

    @classmethod
    def prepare(cls, root: Path) -> "DataDir":
        """Create the folders and set their permissions; parent folders are not changed."""
        data_dir = cls(root.absolute())
        if not data_dir.root.exists():
            data_dir.root.mkdir(parents=True)
            # As root, Postgres runs as another user, who must be able to enter this folder but not to list it.
            data_dir.root.chmod(0o711)
        for folder in (data_dir.secrets, data_dir.keys, data_dir.logs, data_dir.run, data_dir.emulators):
            folder.mkdir(mode=0o700, exist_ok=True)
        return data_dir

    def load_state(self) -> dict[str, Any]:
        """Return the state that earlier runs saved; empty if there is none."""
        if not self.state_file.exists():
            return {}
        found: dict[str, Any] = json.loads(self.state_file.read_text(encoding="utf-8"))
        return found

    def save_state(self, **values: Any) -> None:
        """Add values to the state for later runs."""
        write_private(self.state_file, json.dumps(self.load_state() | values, indent=2))

    def find_postgres_home(self) -> Path | None:
        """Return the folder of the embedded server; None before the first run.

        If it is in the data folder, the saved path does not count: it is the original's after the data folder was
        copied, and leads nowhere after it was moved.
        """
        if self.postgres.is_dir():
            return self.postgres
        home = self.load_state().get("postgres_home")
        return None if home is None else Path(home)

    def _rename_former_files(self) -> None:
        """Rename the state file of an earlier version, and delete its file of addresses.

        The state contains the path of the database: without it, a new and empty database would be created.
        """
        former = self.root / "embedded.json"
        if former.exists() and not self.state_file.exists():
            former.rename(self.state_file)
        (self.run / "stack.json").unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the data folder. Raises AlreadyRunningError, with the holder's process id, if it is locked."""
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
            self._rename_former_files()
            yield
        finally:
            os.close(descriptor)
