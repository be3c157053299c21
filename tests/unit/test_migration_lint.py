"""`python -m migrations.lint` finds SQL that would block or break running services."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations import indexes, lint


def found_in(upgrade: Any, folder: Path) -> str:
    """Return what squawk reports for an upgrade."""
    file = folder / "upgrade.sql"
    file.write_text(lint.rendered(SimpleNamespace(module=SimpleNamespace(upgrade=upgrade))), encoding="utf-8")  # type: ignore[arg-type]
    squawk = Path(sys.executable).with_name("squawk")
    return subprocess.run(
        [squawk, "--config", lint.FOLDER.parent / ".squawk.toml", "--reporter", "gcc", file],
        check=False,
        capture_output=True,
        text=True,
    ).stdout


def test_index_built_in_the_transaction_is_reported(tmp_path: Path) -> None:
    said = found_in(lambda: op.create_index("ix_messages_text", "messages", ["text"]), tmp_path)
    assert "require-concurrent-index-creation" in said


def test_renamed_column_is_reported(tmp_path: Path) -> None:
    said = found_in(lambda: op.alter_column("messages", "text", new_column_name="body"), tmp_path)
    assert "renaming-column" in said


def test_new_column_and_concurrent_index_are_accepted(tmp_path: Path) -> None:
    def upgrade() -> None:
        indexes.create_index_concurrently("ix_messages_text", "messages", ["text"])
        op.add_column("messages", sa.Column("note", sa.Text(), nullable=True))

    assert found_in(upgrade, tmp_path) == ""


def test_migrations_after_the_last_unchecked_one_are_checked() -> None:
    revisions = [script.revision for script in lint.checked()]
    assert lint.LAST_UNCHECKED not in revisions
    assert {"0021", "0022", "0023"} <= set(revisions)
