"""`gospablik ingest` against the API: names of pages, and runs that continue after the command is interrupted."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.sync.backfill_runner import BackfillRunner
from services.ingest.sync.reconciliation_runner import ReconciliationRunner
from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS
from tests.integration.ingest.memory_network import SeededPages, age_first_read, comment, running, seeded_pages
from tests.support.eventually import eventually
from tests.support.forked_program import run_program
from tests.support.service_under_test import environment, service_under_test

DAY = timedelta(days=1)
REGISTRY_PATHS = ("/api/v1/auth", "/api/v1/pages", "/api/v1/me")


@asynccontextmanager
async def _served(registry: ASGIApp, ingest: ASGIApp) -> AsyncIterator[str]:
    """Serve both services at one address, as the gateway does."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        service = registry if scope["path"].startswith(REGISTRY_PATHS) else ingest
        await service(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(both, lifespan="off", log_config=None, timeout_graceful_shutdown=2))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@dataclass
class System:
    """The served API, a network in memory, and the command line."""

    url: str
    seeded: SeededPages
    raw_connection: asyncpg.Connection

    def start(self, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", "ingest", *arguments, "--url", self.url],
            env={**os.environ, "COLUMNS": "200", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def run(self, *arguments: str, code: int = 0, **env: str) -> str:
        """Run a command to its end and return its output."""
        command = ("cli.main", "ingest", *arguments, "--url", self.url)
        process = await run_program(*command, env={**os.environ, "COLUMNS": "200", **env})
        assert process.returncode == code, process.stdout + process.stderr
        return process.stdout + process.stderr


@pytest.fixture
async def system(database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    for name, value in KEYS.items():
        monkeypatch.setenv(f"GOSPABLIK_{name.upper()}", value)
    settings = environment("registry", database, keys_dir)
    people = await run_program("cli.main", "create-demo-people", env={**os.environ, **settings})
    assert people.returncode == 0, people.stderr
    raw_connection = await database.connect()
    async with service_under_test("registry", database, keys_dir) as registry:
        assert registry.service.database, "created with the registry's role"
        async with (
            service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest,
            seeded_pages(database) as seeded,
            _served(registry.client._transport.app, ingest.client._transport.app) as url,  # type: ignore[attr-defined]
        ):
            await raw_connection.execute(
                "UPDATE pages SET screen_name = 'School71', url = 'https://vk.com/School71'"
            )
            yield System(url, seeded, raw_connection)
    await raw_connection.close()


def _backfiller(seeded: SeededPages) -> BackfillRunner:
    return BackfillRunner(seeded.database, seeded.feed, {"vk": seeded.network}, seeded.settings)


async def test_repeated_backfill_command_follows_the_run_of_the_interrupted_one(system: System) -> None:
    seeded = system.seeded
    seeded.network.items = [comment(n, n * DAY) for n in range(1, 8)]
    seeded.network.stop_after = 1
    arguments = ("backfill", "--page", "https://vk.com/school71", "--since", "2026-01-01")
    async with running(_backfiller(seeded)):
        first = system.start(*arguments)

        async def started_backfill() -> Any:
            return await system.raw_connection.fetchrow("SELECT * FROM backfills WHERE items_read > 0")

        row = await eventually(started_backfill, "a started backfill")
        assert (row["since"].isoformat(), row["open_appeals"]) == ("2025-12-31T16:00:00+00:00", False)
        first.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(first.communicate, timeout=60)
        assert (first.returncode, "goes on without this command" in err) == (130, True), out + err
        seeded.network.stop_after = None
        seeded.network.gate.set()
        second = await system.run(*arguments)
    if "already running" in second:
        assert await system.raw_connection.fetchval("SELECT count(*) FROM backfills") == 1
    assert "done: 7 read" in second
    assert await system.raw_connection.fetchval("SELECT count(*) FROM messages") == 7


async def test_reconciliation_reports_gaps_and_sources_show_them(database: TestDatabase, system: System) -> None:
    seeded = system.seeded
    seeded.network.items = [comment(n, n * DAY / 24) for n in range(1, 5)]
    await seeded.push(seeded.network.items[0])
    await age_first_read(database, seeded.page.id, DAY)
    work = ReconciliationRunner(seeded.database, seeded.feed, {"vk": seeded.network}, seeded.settings)
    async with running(work):
        one = await system.run("reconcile", "--page", str(seeded.page.id))
        everything = await system.run("reconcile", "--network", "vk")
    for output, numbers in ((one, ["1 of 1", "4", "3"]), (everything, ["1 of 1", "4", "0"])):
        row = next(line for line in output.splitlines() if "1 of 1" in line)
        assert [cell.strip() for cell in row.strip("│ ").split("│")][:3] == numbers
    shown = await system.run("sources", "--page", "vk.com/club101", code=1)
    row = next(line for line in shown.splitlines() if "Страница" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:3] == ["Страница", "vk", "no_token"]
    assert cells[4] == "none"
    assert cells[6] == "3"


async def test_refused_commands_are_reported_with_reasons(system: System) -> None:
    since = ("--since", "2026-01-01")
    assert "No such page: «vk.com/club999»" in await system.run(
        "backfill", "--page", "vk.com/club999", *since, code=1
    )
    assert "was refused" in await system.run("sources", code=1, GOSPABLIK_PASSWORD="wrong")
    assert "not a date or time" in await system.run("backfill", "--page", "School71", "--since", "soon", code=2)
    assert "in the future" in await system.run("backfill", "--page", "School71", "--since", "2999-01-01", code=1)
    head = await system.run("backfill", "--page", "School71", *since, "--user", "head", code=1)
    assert "sources:manage" in head
    assert await system.raw_connection.fetchval("SELECT count(*) FROM backfills") == 0


async def test_page_is_found_by_any_of_its_names(system: System) -> None:
    async def asked(page: str, code: int) -> str:
        return await system.run("sources", "--page", page, code=code)

    for name in (
        "https://m.vk.com/wall-101_31?reply=4",
        "HTTPS://VK.RU/school71/?from=feed#top",
        "SCHOOL71",
        "101",
    ):
        assert "Страница" in await asked(name, code=1)
    assert "person's page" in await asked("vk.com/id1", code=1)
    assert "example.org" in await asked("https://example.org/club101", code=1)
    assert "No such page: «school72»" in await asked("school72", code=1)
    await system.raw_connection.execute(
        """INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, screen_name, url,
               go_live_at, active, version, created_at, updated_at)
           SELECT gen_random_uuid(), organisation_id, 'ok', '55000', name, sort_key, 'school71',
               'https://ok.ru/group/55000', go_live_at, true, 1, created_at, updated_at FROM pages"""
    )
    output = await asked("school71", code=1)
    assert "«school71» matches https://vk.com/School71, https://ok.ru/group/55000" in output
