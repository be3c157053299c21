"""The folders of embedded Postgres, for an ordinary user and for root."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.embedded import orphan_processes, postgres
from cli.embedded.data_dir import DataDir
from cli.embedded.postgres_account import Account


class FakeAccount(Account):
    """An account whose access the test sets."""

    enterable: tuple[str, ...] = ()
    can_run: bool = True

    def can_enter(self, folder: Path) -> bool:
        return str(folder).startswith(self.enterable)

    def can_execute(self, program: Path) -> bool:
        return self.can_run


def _use_account(monkeypatch: pytest.MonkeyPatch, *, enterable: Path, can_run: bool = True) -> FakeAccount:
    found = FakeAccount("nobody", os.getuid(), os.getgid())
    object.__setattr__(found, "enterable", (str(enterable),))
    object.__setattr__(found, "can_run", can_run)
    monkeypatch.setattr(postgres, "postgres_account", lambda: found)
    return found


def test_ordinary_user_keeps_everything_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    data_dir = DataDir.prepare(tmp_path / "data")
    server = postgres.locate(data_dir)
    assert server.account is None
    assert server.home == data_dir.root / "postgres"
    assert (server.programs / "postgres").exists()


def test_copy_of_a_data_folder_has_a_server_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    postgres.locate(DataDir.prepare(tmp_path / "data"))
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert postgres.locate(DataDir.prepare(tmp_path / "copy")).home == tmp_path / "copy" / "postgres"


def test_root_uses_the_data_folder_if_postgres_can_enter_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_account(monkeypatch, enterable=tmp_path)
    data_dir = DataDir.prepare(tmp_path / "data")
    assert postgres.locate(data_dir).home == data_dir.root / "postgres"


def test_root_uses_and_remembers_another_folder_if_postgres_cannot_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "var"
    monkeypatch.setattr(postgres, "_SYSTEM_HOME", elsewhere)
    _use_account(monkeypatch, enterable=elsewhere)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_dir = DataDir.prepare(closed / "data")
    first = postgres.locate(data_dir)
    assert first.home.parent == elsewhere
    assert postgres.locate(data_dir).home == first.home
    assert closed.stat().st_mode & 0o777 == 0o700
    assert first.home.stat().st_mode & 0o777 == 0o700


def test_programs_that_cannot_run_are_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = _use_account(monkeypatch, enterable=tmp_path, can_run=False)
    data_dir = DataDir.prepare(tmp_path / "data")
    server = postgres.locate(data_dir)
    assert server.programs.is_relative_to(server.home)
    # Libraries are found relative to the programs, so the copies must start.
    for program in ("postgres", "initdb", "psql"):
        done = Account.run(stranger, [str(server.programs / program), "--version"])
        assert done.returncode == 0, done.stderr
    stamp = (server.programs / "postgres").stat().st_mtime_ns, (server.programs / "postgres").stat().st_ino
    again = postgres.locate(data_dir).programs / "postgres"
    assert (again.stat().st_mtime_ns, again.stat().st_ino) == stamp


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's folder is private to root if root runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def test_incomplete_cluster_is_created_again(open_folder: Path) -> None:
    data_dir = DataDir.prepare(open_folder / "data")
    server = postgres.locate(data_dir)
    half = server.home / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert server.initialise("secret") is True
    assert server.initialise("secret") is False
    assert not half.exists()
    assert not (server.home / "password").exists()
    rules = (server.data / "pg_hba.conf").read_text()
    assert "scram-sha-256" in rules
    assert "trust" not in [
        word for line in rules.splitlines() if not line.startswith("#") for word in line.split()
    ]


def test_server_starts_although_another_process_has_the_id_of_a_killed_one(open_folder: Path) -> None:
    data_dir = DataDir.prepare(open_folder / "data")
    server = postgres.locate(data_dir)
    server.initialise("secret")
    account = server.account
    user: dict[str, Any] = {}
    if account is not None:
        user = {"user": account.uid, "group": account.gid, "extra_groups": []}
    other = subprocess.Popen(["/bin/sleep", "600"], cwd="/", **user)
    started = None
    try:
        file = server.data / "postmaster.pid"
        rest = f"\n{server.data}\n1790000000\n5432\n\n127.0.0.1\n  5432000         7\nready   \n"
        file.write_text(f"{other.pid}{rest}", encoding="ascii")
        file.chmod(0o600)
        if account is not None:
            os.chown(file, account.uid, account.gid)
        orphan_processes.release_process_id(data_dir)
        assert file.read_text(encoding="ascii").endswith(rest)
        # Without a port: it listens only in its folder.
        command = [*server.command("", 5432), "-c", f"unix_socket_directories={server.data}"]
        started = subprocess.Popen(command, cwd="/", stderr=subprocess.PIPE, text=True, **user)
        assert started.stderr is not None
        said = []
        for line in started.stderr:
            said.append(line)
            if "ready to accept connections" in line or "FATAL" in line:
                break
        assert "ready to accept connections" in said[-1], said
        # The id of the running server stays.
        orphan_processes.release_process_id(data_dir)
        assert file.read_text(encoding="ascii").startswith(f"{started.pid}\n")
        assert orphan_processes.find_server(data_dir) is not None
    finally:
        other.kill()
        other.communicate()
        if started is not None:
            started.send_signal(signal.SIGINT)  # Postgres ends its connections and stops
            started.communicate()
