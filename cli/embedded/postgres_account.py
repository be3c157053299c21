"""The system account of the Postgres process: Postgres refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A system user that a root process can switch to."""

    name: str
    uid: int
    gid: int

    def run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, from the root folder; the caller checks the return code."""
        return subprocess.run(  # noqa: S603 - our own commands
            arguments,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def can_enter(self, folder: Path) -> bool:
        """Return whether this user can enter the folder and all its parents."""
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]).returncode == 0

    def can_execute(self, program: Path) -> bool:
        """Return whether this user can run the program."""
        try:
            return self.run([str(program), "--version"]).returncode == 0
        except PermissionError:
            return False


def postgres_account() -> Account | None:
    """Return Postgres's user if this process is root; None if Postgres runs as the user of this process."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise LookupError("Postgres cannot run as root, and this system has no user postgres or nobody")
