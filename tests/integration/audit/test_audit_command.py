"""`gospablik audit verify`, and the audit rows of commands."""

import os
import subprocess
from pathlib import Path

from tests.conftest import TestDatabase
from tests.integration.audit.conftest import change, trail
from tests.support.forked_program import run_program
from tests.support.service_under_test import ServiceUnderTest, environment


async def gospablik(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await run_program("cli.main", *arguments, env={**os.environ, **environ})


async def test_verify_reports_changed_and_missing_rows(
    registry: ServiceUnderTest, database: TestDatabase, tmp_path: Path
) -> None:
    # Any service's role may read the trail.
    environ = {"GOSPABLIK_DATABASE_URL": database.url("metrics")}
    empty = await gospablik(environ, "audit", "verify")
    assert (empty.returncode, empty.stdout) == (0, "the audit trail is empty\n"), empty.stderr
    for number in range(3):
        await change(registry, number)
    assert len(await trail(registry)) == 3
    good = await gospablik(environ, "audit", "verify")
    assert good.returncode == 0, good.stderr
    head = good.stdout.strip().removeprefix("the chain is intact, head ")
    assert head.startswith("3:")

    connection = await database.connect()
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("UPDATE audit SET actor = 'somebody else' WHERE position = 2")
        bad = await gospablik(environ, "audit", "verify")
        assert bad.returncode == 1
        assert "position 2:" in bad.stderr
        await connection.execute("DELETE FROM audit WHERE position > 1")
    finally:
        await connection.close()
    cut = await gospablik(environ, "audit", "verify", "--expected-head", head)
    assert cut.returncode == 1
    assert "position 2: the row is missing" in cut.stderr
    malformed = await gospablik(environ, "audit", "verify", "--expected-head", "3:ab")
    assert malformed.returncode == 2
    unset = {"GOSPABLIK_DATABASE_URL": "", "GOSPABLIK_DATA_DIR": str(tmp_path)}
    nowhere = await gospablik(unset, "audit", "verify")
    assert nowhere.returncode == 2
    assert "GOSPABLIK_DATABASE_URL" in nowhere.stderr


async def test_commands_of_an_operator_are_recorded(
    registry: ServiceUnderTest, database: TestDatabase, keys_dir: Path
) -> None:
    environ = environment("registry", database, keys_dir)
    made = await gospablik(environ, "add-person", "first", "--name", "Татьяна Иванова", "--role", "operations")
    assert made.returncode == 0, made.stderr
    (row,) = await trail(registry, action="gospablik add-person")
    assert (row["actor"], row["subject_kind"], row["before"]) == (f"operator:{os.getuid()}", "people", None)
    assert row["after"]["role"] == "operations"
    assert "Иванова" not in str(row)
