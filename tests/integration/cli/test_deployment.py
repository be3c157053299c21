"""What an operator does at the command line of a deployment."""

import os
import subprocess
from pathlib import Path

from tests.conftest import TestDatabase
from tests.support.forked_program import run_program
from tests.support.service_under_test import environment, service_under_test


async def gospablik(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await run_program("cli.main", *arguments, env={**os.environ, **environ})


async def test_the_first_person_of_production_can_sign_in(database: TestDatabase, keys_dir: Path) -> None:
    production = environment("registry", database, keys_dir, environment="production")
    made = await gospablik(production, "add-person", "first", "--name", "Оператор", "--role", "operations")
    assert made.returncode == 0, made.stderr
    again = await gospablik(production, "add-person", "first", "--name", "Оператор")
    assert (again.returncode, "taken" in again.stderr) == (1, True)
    wrong = await gospablik(production, "add-person", "second", "--name", "Оператор", "--role", "executor")
    assert wrong.returncode == 1
    async with service_under_test("registry", database, keys_dir, environment="production") as registry:
        form = {"grant_type": "password", "username": "first", "password": made.stdout.strip()}
        answer = await registry.client.post("/api/v1/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await registry.client.get("/api/v1/people", headers=headers)).status_code == 200


async def test_held_jobs_are_listed_and_put_back(database: TestDatabase, keys_dir: Path) -> None:
    eye = await database.connect()
    try:
        await eye.execute(
            "INSERT INTO appeals_jobs.pgqueuer (priority, entrypoint, status, payload)"
            " VALUES (0, 'request_publication', 'failed', convert_to('{\"reply_id\": \"1\"}', 'UTF8'))"
        )
        settings = environment("appeals", database, keys_dir)
        shown = await gospablik(settings, "held-jobs", "appeals")
        assert "request_publication" in shown.stdout, shown.stderr
        number = shown.stdout.split()[0]
        put_back = await gospablik(settings, "held-jobs", "appeals", "--put-back", number)
        assert (put_back.returncode, put_back.stdout) == (0, ""), put_back.stderr
        assert await eye.fetchval("SELECT status::text FROM appeals_jobs.pgqueuer") == "queued"
        recorded = await eye.fetchrow("SELECT action, subject_kind, subject_id FROM audit")
        assert tuple(recorded) == ("gospablik held-jobs --put-back", "appeals_jobs", number)
    finally:
        await eye.close()
