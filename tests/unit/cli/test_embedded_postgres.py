"""Where embedded Postgres lives, for an ordinary user and for root."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded import postgres
from cli.embedded.data_dir import Layout
from cli.embedded.postgres_account import Account


class Stranger(Account):
    """An account whose reach the test decides."""

    enters: tuple[str, ...] = ()
    executes: bool = True

    def can_enter(self, folder: Path) -> bool:
        return str(folder).startswith(self.enters)

    def can_execute(self, program: Path) -> bool:
        return self.executes


def _stranger(monkeypatch: pytest.MonkeyPatch, *, enters: Path, executes: bool = True) -> Stranger:
    found = Stranger("nobody", os.getuid(), os.getgid())
    object.__setattr__(found, "enters", (str(enters),))
    object.__setattr__(found, "executes", executes)
    monkeypatch.setattr(postgres, "postgres_account", lambda: found)
    return found


def test_an_ordinary_user_keeps_everything_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    layout = Layout.prepare(tmp_path / "data")
    server = postgres.locate(layout)
    assert server.account is None
    assert server.home == layout.root / "postgres"
    assert (server.programs / "postgres").exists()


def test_root_uses_the_data_folder_when_the_other_user_can_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stranger(monkeypatch, enters=tmp_path)
    layout = Layout.prepare(tmp_path / "data")
    assert postgres.locate(layout).home == layout.root / "postgres"


def test_root_goes_elsewhere_when_it_cannot_and_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "var"
    monkeypatch.setattr(postgres, "_SYSTEM_HOME", elsewhere)
    _stranger(monkeypatch, enters=elsewhere)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    layout = Layout.prepare(closed / "data")
    first = postgres.locate(layout)
    assert first.home.parent == elsewhere
    assert postgres.locate(layout).home == first.home
    assert closed.stat().st_mode & 0o777 == 0o700
    assert first.home.stat().st_mode & 0o777 == 0o700


def test_unreachable_programs_are_copied_once_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = _stranger(monkeypatch, enters=tmp_path, executes=False)
    layout = Layout.prepare(tmp_path / "data")
    server = postgres.locate(layout)
    assert server.programs.is_relative_to(server.home)
    # Their libraries are found relative to them, so the copies must start by themselves.
    for program in ("postgres", "initdb", "psql"):
        done = Account.run(stranger, [str(server.programs / program), "--version"])
        assert done.returncode == 0, done.stderr
    stamp = (server.programs / "postgres").stat().st_mtime_ns, (server.programs / "postgres").stat().st_ino
    again = postgres.locate(layout).programs / "postgres"
    assert (again.stat().st_mtime_ns, again.stat().st_ino) == stamp


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own when root runs it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def test_a_half_made_cluster_is_made_anew(open_folder: Path) -> None:
    layout = Layout.prepare(open_folder / "data")
    server = postgres.locate(layout)
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
