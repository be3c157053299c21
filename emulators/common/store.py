"""SQLite storage: one file per network; every change is committed before it is acknowledged."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = sqlite3.Row

COMMON_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    day INTEGER NOT NULL, method TEXT NOT NULL, kind TEXT NOT NULL, token TEXT NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, method, kind, token)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS emulator_state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS armed_faults (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS persistent_faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, code INTEGER NOT NULL, methods TEXT,
    until TEXT NOT NULL, kind TEXT NOT NULL, page TEXT, day INTEGER NOT NULL, since_ms INTEGER NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0, replaced INTEGER NOT NULL DEFAULT 0, ended TEXT,
    success_token TEXT, captcha_key TEXT
);
CREATE INDEX IF NOT EXISTS persistent_faults_by_token ON persistent_faults (token) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS token_calls (
    token TEXT PRIMARY KEY, calls INTEGER NOT NULL DEFAULT 0, while_faulty INTEGER NOT NULL DEFAULT 0,
    revoked INTEGER NOT NULL DEFAULT 0, after_revoked INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""
# Migrations of files that an earlier version wrote, by the name of a table that only these files have.
_RENAMES = {
    "standing_faults": """
ALTER TABLE standing_faults RENAME TO persistent_faults;
DROP INDEX IF EXISTS standing_by_token;
ALTER TABLE token_calls RENAME COLUMN while_standing TO while_faulty;
UPDATE emulator_state SET value = replace(value, '"kind": "standing"', '"kind": "persistent"')
WHERE name = 'script';
"""
}


class EmulatorStore:
    """One SQLite connection, used only from the event loop's thread."""

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for table, script in _RENAMES.items():
            if self.value("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)):
                self._connection.executescript(f"BEGIN; {script} COMMIT;")
        # In WAL mode, NORMAL loses nothing if the process is killed; only a power failure may lose the last
        # commits.
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
            + COMMON_SCHEMA
            + schema
        )
        self._depth = 0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction; a nested transaction joins the outer one."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        else:
            self._connection.execute("COMMIT")
        finally:
            self._depth = 0

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return the id of the inserted row, 0 if it inserts none."""
        return self._connection.execute(sql, values).lastrowid or 0

    def update(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return the number of changed rows."""
        return self._connection.execute(sql, values).rowcount

    def get_value(self, name: str) -> str | None:
        """Return a named value, or None."""
        found: str | None = self.value("SELECT value FROM emulator_state WHERE name = ?", (name,))
        return found

    def set_value(self, name: str, value: str) -> None:
        """Save a named value."""
        self.execute(
            "INSERT INTO emulator_state (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row, or None."""
        row = self.one(sql, values)
        return None if row is None else row[0]
