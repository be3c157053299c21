"""`gospablik topics` against the API of a running system."""

import asyncio
import csv
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from services.registry.access import people
from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import AppealsScenario, build_scenario
from tests.integration.appeals.test_review_decisions import classified_message, decide
from tests.support.forked_program import run_program
from tests.support.service_under_test import ServiceUnderTest, service_under_test


@asynccontextmanager
async def _served(registry: ServiceUnderTest, appeals: ServiceUnderTest) -> AsyncIterator[str]:
    """Serve both services at one address, as the gateway does."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        service = registry if scope["path"].startswith("/api/v1/auth/") else appeals
        await service.client._transport.app(scope, receive, send)  # type: ignore[attr-defined]

    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return the finished process."""
    return await run_program("cli.main", "topics", *arguments, env=os.environ)


async def test_decisions_of_people_are_exported(
    database: TestDatabase, keys_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "training.csv"
    ingest = await database.connect("ingest")
    try:
        async with service_under_test("registry", database, keys_dir) as registry:
            # The settings of the registry are active here, so a new connection uses the registry's role.
            async with registry.service.database.write() as session:
                await people.ensure_demo_people(session)
            async with service_under_test("appeals", database, keys_dir) as appeals:
                scenario: AppealsScenario = await build_scenario(database, appeals, ingest)
                await decide(scenario, await classified_message(scenario), confirm=True)
                await decide(scenario, await classified_message(scenario, author="b"))
                async with _served(registry, appeals) as url:
                    for more, rows in (((), 1), (("--all",), 2)):
                        done = await run("export", "--out", str(out), "--url", url, *more)
                        assert done.returncode == 0, done.stdout + done.stderr
                        with out.open(encoding="utf-8-sig") as file:
                            found = list(csv.DictReader(file))
                        assert len(found) == rows
                        assert found[0]["Группа тем"] == "Дороги"
                    assert out.stat().st_mode & 0o777 == 0o600
                    kept = out.read_bytes()
                    refused = await run("export", "--out", str(out), "--url", url, "--password", "wrong")
                    assert refused.returncode == 1
                    assert "was refused" in refused.stdout + refused.stderr
                    assert out.read_bytes() == kept
    finally:
        await ingest.close()
