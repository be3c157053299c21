"""`gospablik ingest` against the API: pages by every name, work that goes on without its watcher."""

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
from tests.integration.ingest.memory_network import Ground, age_first_reading, comment, ground, running
from tests.support.eventually import eventually
from tests.support.forked_program import run_program
from tests.support.service_under_test import environment, service_under_test

DAY = timedelta(days=1)
REGISTRYS = ("/api/v1/auth", "/api/v1/pages", "/api/v1/me")


@asynccontextmanager
async def _served(registry: ASGIApp, ingest: ASGIApp) -> AsyncIterator[str]:
    """Both services behind one address, as the gateway puts them."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        theirs = scope["path"].startswith(REGISTRYS)
        await (registry if theirs else ingest)(scope, receive, send)

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
    """The API at an address, a network in memory, and the command line."""

    url: str
    here: Ground
    eye: asyncpg.Connection

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
        """A command to its end; answers what it printed."""
        command = ("cli.main", "ingest", *arguments, "--url", self.url)
        process = await run_program(*command, env={**os.environ, "COLUMNS": "200", **env})
        assert process.returncode == code, process.stdout + process.stderr
        return process.stdout + process.stderr


@pytest.fixture
async def system(database: TestDatabase, keys_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    for name, value in KEYS.items():
        monkeypatch.setenv(f"GOSPABLIK_{name.upper()}", value)
    settings = environment("registry", database, keys_dir)
    people = await run_program("cli.main", "demo-people", env={**os.environ, **settings})
    assert people.returncode == 0, people.stderr
    eye = await database.connect()
    async with service_under_test("registry", database, keys_dir) as registry:
        assert registry.service.database, "made here, with registry's role"
        async with (
            service_under_test("ingest", database, keys_dir, process="api", **KEYS) as ingest,
            ground(database) as here,
            _served(registry.client._transport.app, ingest.client._transport.app) as url,  # type: ignore[attr-defined]
        ):
            await eye.execute("UPDATE pages SET screen_name = 'School71', url = 'https://vk.com/School71'")
            yield System(url, here, eye)
    await eye.close()


def _backfiller(here: Ground) -> BackfillRunner:
    return BackfillRunner(here.database, here.feed, {"vk": here.network}, here.settings)


async def test_a_backfill_is_left_and_watched_again(system: System) -> None:
    here = system.here
    here.network.items = [comment(n, n * DAY) for n in range(1, 8)]
    here.network.stop_after = 1
    arguments = ("backfill", "--page", "https://vk.com/school71", "--since", "2026-01-01")
    async with running(_backfiller(here)):
        first = system.start(*arguments)

        async def begun() -> Any:
            return await system.eye.fetchrow("SELECT * FROM backfills WHERE found > 0")

        row = await eventually(begun, 90)
        assert (row["since"].isoformat(), row["open_cases"]) == ("2025-12-31T16:00:00+00:00", False)
        first.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(first.communicate, timeout=60)
        assert (first.returncode, "goes on by itself" in err) == (130, True), out + err
        here.network.stop_after = None
        here.network.gate.set()
        second = await system.run(*arguments)
    if "under way" in second:
        assert await system.eye.fetchval("SELECT count(*) FROM backfills") == 1
    assert "done: 7 found" in second
    assert await system.eye.fetchval("SELECT count(*) FROM messages") == 7


async def test_a_comparison_tells_its_gaps_and_sources_show_them(database: TestDatabase, system: System) -> None:
    here = system.here
    here.network.items = [comment(n, n * DAY / 24) for n in range(1, 5)]
    await here.push(here.network.items[0])
    await age_first_reading(database, here.page.id, DAY)
    work = ReconciliationRunner(here.database, here.feed, {"vk": here.network}, here.settings)
    async with running(work):
        one = await system.run("reconcile", "--page", str(here.page.id))
        everything = await system.run("reconcile", "--network", "vk")
    for said, numbers in ((one, ["1 of 1", "4", "3"]), (everything, ["1 of 1", "4", "0"])):
        row = next(line for line in said.splitlines() if "1 of 1" in line)
        assert [cell.strip() for cell in row.strip("│ ").split("│")][:3] == numbers
    shown = await system.run("sources", "--page", "vk.com/club101", code=1)
    row = next(line for line in shown.splitlines() if "Страница" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:3] == ["Страница", "vk", "no_token"]
    assert cells[4] == "none"
    assert cells[6] == "3"


async def test_refusals_are_told_in_words(system: System) -> None:
    since = ("--since", "2026-01-01")
    assert "No page «vk.com/club999» is registered" in await system.run(
        "backfill", "--page", "vk.com/club999", *since, code=1
    )
    assert "not let in" in await system.run("sources", code=1, GOSPABLIK_PASSWORD="wrong")
    assert "no day or moment" in await system.run("backfill", "--page", "School71", "--since", "soon", code=2)
    assert "in the future" in await system.run("backfill", "--page", "School71", "--since", "2999-01-01", code=1)
    head = await system.run("backfill", "--page", "School71", *since, "--user", "head", code=1)
    assert "sources:manage" in head
    assert await system.eye.fetchval("SELECT count(*) FROM backfills") == 0


async def test_a_page_is_meant_by_any_of_its_names(system: System) -> None:
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
    assert "No page «school72» is registered" in await asked("school72", code=1)
    await system.eye.execute(
        """INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, screen_name, url,
               live_from, active, version, created_at, updated_at)
           SELECT gen_random_uuid(), organisation_id, 'ok', '55000', name, sort_key, 'school71',
               'https://ok.ru/group/55000', live_from, true, 1, created_at, updated_at FROM pages"""
    )
    said = await asked("school71", code=1)
    assert "«school71» may be https://vk.com/School71, https://ok.ru/group/55000" in said
