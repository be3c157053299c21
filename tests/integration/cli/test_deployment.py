"""Commands that an operator runs in a deployment."""

import os
import subprocess
from pathlib import Path

import httpx

from services.registry.access import people
from tests.conftest import TestDatabase
from tests.support.forked_program import run_program
from tests.support.service_under_test import environment, service_under_test


async def gospablik(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await run_program("cli.main", *arguments, env={**os.environ, **environ})


async def test_first_person_of_production_can_sign_in(database: TestDatabase, keys_dir: Path) -> None:
    production = environment("registry", database, keys_dir, environment="production")
    created = await gospablik(production, "add-person", "first", "--name", "Оператор", "--role", "operations")
    assert created.returncode == 0, created.stderr
    again = await gospablik(production, "add-person", "first", "--name", "Оператор")
    assert (again.returncode, "taken" in again.stderr) == (1, True)
    wrong = await gospablik(production, "add-person", "second", "--name", "Оператор", "--role", "executor")
    assert wrong.returncode == 1
    async with service_under_test("registry", database, keys_dir, environment="production") as registry:
        form = {"grant_type": "password", "username": "first", "password": created.stdout.strip()}
        answer = await registry.client.post("/api/v1/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await registry.client.get("/api/v1/people", headers=headers)).status_code == 200


async def test_end_sessions_ends_all_sessions_after_a_restore(database: TestDatabase, keys_dir: Path) -> None:
    settings = environment("registry", database, keys_dir)
    raw_connection = await database.connect()
    try:
        async with service_under_test("registry", database, keys_dir) as registry:
            async with registry.service.database.write() as session:
                await people.ensure_demo_people(session)

            async def token(**form: str) -> httpx.Response:
                return await registry.client.post("/api/v1/auth/token", data=form)

            names = ("centre", "centre", "head")
            signed_in = [
                (await token(grant_type="password", username=name, password="demo")).json() for name in names
            ]
            stolen, *others = [answer["refresh_token"] for answer in signed_in]
            # Revoked after the backup, so the restored row is valid again.
            await registry.client.post("/api/v1/auth/revoke", data={"token": stolen})
            await raw_connection.execute("UPDATE refresh_tokens SET revoked_at = NULL")
            ended = await gospablik(settings, "end-sessions")
            assert (ended.returncode, ended.stdout) == (0, "3 sessions ended\n"), ended.stderr
            for refresh_token in (stolen, *others):
                assert (await token(grant_type="refresh_token", refresh_token=refresh_token)).status_code == 400
            own = {"Authorization": f"Bearer {signed_in[0]['access_token']}"}
            assert (await registry.client.delete("/api/v1/me/sessions", headers=own)).status_code == 401
            assert (await token(grant_type="password", username="centre", password="demo")).status_code == 200
            recorded = await raw_connection.fetch(
                "SELECT DISTINCT action FROM audit WHERE actor LIKE 'operator:%'"
            )
            assert [row["action"] for row in recorded] == ["gospablik end-sessions"]
            again = await gospablik(settings, "end-sessions")
            assert again.stdout == "1 sessions ended\n"
    finally:
        await raw_connection.close()


async def test_end_browser_sessions_ends_all_browser_sessions_after_a_restore(
    database: TestDatabase, keys_dir: Path
) -> None:
    raw_connection = await database.connect()
    try:
        await raw_connection.execute(
            """INSERT INTO console_sessions
                   (id, digest, person_id, tokens, access_expires_at, expires_at, created_at)
               SELECT gen_random_uuid(), convert_to(name, 'UTF8'), gen_random_uuid(), 'x', now(), now() + '1 day',
                      now()
               FROM unnest(ARRAY['stolen', 'other']) AS name"""
        )
        settings = environment("console", database, keys_dir)
        ended = await gospablik(settings, "end-browser-sessions")
        assert (ended.returncode, ended.stdout) == (0, "2 browser sessions ended\n"), ended.stderr
        assert await raw_connection.fetchval("SELECT count(*) FROM console_sessions") == 0
        again = await gospablik(settings, "end-browser-sessions")
        assert again.stdout == "0 browser sessions ended\n"
        # The registry's role may not delete them: the documentation runs the command in the console's container.
        refused = await gospablik(environment("registry", database, keys_dir), "end-browser-sessions")
        assert refused.returncode != 0
    finally:
        await raw_connection.close()


async def test_dead_letter_jobs_are_listed_and_requeued(database: TestDatabase, keys_dir: Path) -> None:
    raw_connection = await database.connect()
    try:
        await raw_connection.execute(
            "INSERT INTO appeals_jobs.pgqueuer (priority, entrypoint, status, payload)"
            " VALUES (0, 'request_publication', 'failed', convert_to('{\"reply_id\": \"1\"}', 'UTF8'))"
        )
        settings = environment("appeals", database, keys_dir)
        listed = await gospablik(settings, "dead-letters", "appeals")
        assert "request_publication" in listed.stdout, listed.stderr
        number = listed.stdout.split()[0]
        requeued = await gospablik(settings, "dead-letters", "appeals", "--requeue", number)
        assert (requeued.returncode, requeued.stdout) == (0, ""), requeued.stderr
        assert await raw_connection.fetchval("SELECT status::text FROM appeals_jobs.pgqueuer") == "queued"
        recorded = await raw_connection.fetchrow("SELECT action, subject_kind, subject_id FROM audit")
        assert tuple(recorded) == ("gospablik dead-letters --requeue", "appeals_jobs", number)
    finally:
        await raw_connection.close()


async def test_starter_rules_become_active_once(database: TestDatabase, keys_dir: Path) -> None:
    settings = environment("appeals", database, keys_dir)
    first = await gospablik(settings, "starter-rules")
    assert (first.returncode, first.stdout) == (0, "rule set 3 is active\n"), first.stderr
    again = await gospablik(settings, "starter-rules")
    assert (again.returncode, again.stdout) == (0, "routing rules already exist: nothing changes\n"), again.stderr
    raw_connection = await database.connect()
    try:
        rules = await raw_connection.fetchval(
            """SELECT count(*) FROM routing_rules r JOIN rule_sets s ON s.id = r.rule_set_id
               WHERE s.status = 'active' AND s.created_by = 'starter-rules'"""
        )
        assert rules > 100
        recorded = await raw_connection.fetch("SELECT DISTINCT service, action FROM audit")
        assert [tuple(row) for row in recorded] == [("appeals", "gospablik starter-rules")]
    finally:
        await raw_connection.close()
