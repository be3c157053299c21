"""Creation of the demo region, with real emulators and a fake gateway."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cli.demo import seed
from cli.demo.demo_api import DemoApi, DemoError
from cli.demo.region import load
from cli.embedded.data_dir import DataDir
from cli.embedded.programs import ProgramSpecs
from cli.embedded.secrets import Secrets
from cli.embedded.settings import EMULATED_NETWORKS, EmbeddedSettings
from cli.embedded.temporary_postgres import free_port
from tests.support.eventually import HANG_SECONDS

pytestmark = pytest.mark.enable_socket  # an API on loopback


class FakeGateway:
    """A fake gateway with the routes of registry and ingest that the demo uses."""

    def __init__(self) -> None:
        self.organisations: dict[str, dict[str, Any]] = {}
        self.pages: dict[tuple[str, str], dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.running_calls = self.max_running_calls = 0
        self._ids = (f"00000000-0000-7000-8000-{number:012d}" for number in itertools.count(1))

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.running_calls += 1
        self.max_running_calls = max(self.max_running_calls, self.running_calls)
        try:
            await asyncio.sleep(0.001)
            return await self._answer(request)
        finally:
            self.running_calls -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        route = f"{request.method} {request.path}"
        self.calls[route] += 1
        if route == "POST /api/v1/auth/token":
            form = await request.post()
            assert (form["grant_type"], form["username"], form["password"]) == ("password", "centre", "demo")
            return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 600})
        assert request.headers["Authorization"] == "Bearer t"
        body = await request.json() if request.method == "POST" else {}
        match route:
            case "GET /api/v1/organisations":
                found = self.organisations.get(request.query["code"])
                return web.json_response({"items": [found] if found else [], "next_cursor": None})
            case "POST /api/v1/organisations":
                assert body.get("parent_id") is None or body["parent_id"] in {
                    one["id"] for one in self.organisations.values()
                }
                return self._create(self.organisations, body["code"], body)
            case "POST /api/v1/pages":
                return self._create(self.pages, (body["network"], body["external_id"]), body)
            case "GET /api/v1/pages":
                items = [
                    page
                    for page in self.pages.values()
                    if page["organisation_id"] == request.query["organisation_id"]
                    and page["network"] == request.query["network"]
                ]
                return web.json_response({"items": items, "next_cursor": None})
            case "GET /api/v1/sources":
                sources = [{"kind": "long_poll", "last_success_at": "2026-01-01T00:00:00Z"}]
                followed = [{"name": page["name"], "sources": sources} for page in self.pages.values()]
                return web.json_response({"items": followed, "next_cursor": None})
            case "POST /api/v1/sources/tokens":
                if body["kind"] == "group":
                    assert body["page_id"] in {page["id"] for page in self.pages.values()}
                known = body["token"] in self.tokens
                self.tokens[body["token"]] = body
                return web.json_response({"id": next(self._ids)}, status=200 if known else 201)
        raise web.HTTPNotFound

    def _create(self, table: dict[Any, dict[str, Any]], key: Any, body: dict[str, Any]) -> web.Response:
        if key in table:
            return web.json_response({"type": "/problems/duplicate", "status": 409}, status=409)
        table[key] = body | {"id": next(self._ids)}
        return web.json_response(table[key], status=201)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EmbeddedSettings:
    monkeypatch.setenv("GOSPABLIK_DATA_DIR", str(tmp_path / "data"))
    for name in ("GATEWAY", "VK", "OK"):
        monkeypatch.setenv(f"GOSPABLIK_PORT_{name}", str(free_port()))
    monkeypatch.setenv("GOSPABLIK_CITIZENS_PER_MINUTE", "600")
    monkeypatch.setenv("GOSPABLIK_DEMO_WEEKS", "0")
    return EmbeddedSettings()


@pytest.fixture
def data_dir(settings: EmbeddedSettings) -> DataDir:
    return DataDir.prepare(settings.data_dir)


@pytest.fixture
async def gateway(settings: EmbeddedSettings) -> AsyncIterator[FakeGateway]:
    found = FakeGateway()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await found(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port_gateway).start()
    yield found
    await runner.cleanup()


@pytest.fixture
async def processes(settings: EmbeddedSettings, data_dir: DataDir) -> AsyncIterator[ProgramSpecs]:
    found = ProgramSpecs(settings, data_dir, Secrets())
    running = []
    for network in EMULATED_NETWORKS:
        program = found.emulator(network)
        running.append(
            await asyncio.create_subprocess_exec(
                *program.command, env=os.environ | dict(program.environment), stdout=asyncio.subprocess.DEVNULL
            )
        )
    async with asyncio.timeout(HANG_SECONDS), aiohttp.ClientSession() as http:
        for network in EMULATED_NETWORKS:
            while True:
                try:
                    async with http.get(f"{settings.url(network)}/_control/pages") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
    yield found
    for process in running:
        process.terminate()
        await process.wait()


async def test_region_is_created_only_once(
    settings: EmbeddedSettings,
    data_dir: DataDir,
    gateway: FakeGateway,
    processes: ProgramSpecs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organisations_of_org: list[str | None] = []
    monkeypatch.setattr(
        seed, "_create_people", lambda _processes, organisation: organisations_of_org.append(organisation)
    )
    region = load()
    expected_pages = {(network, screen) for one in region for network, screen in one.pages.items()}

    summary = await asyncio.to_thread(seed.seed_demo, settings, data_dir, processes)
    assert summary == f"{len(region)} organisations, {len(expected_pages)} pages"
    assert set(gateway.organisations) == {one.code for one in region}
    assert {(page["network"], page["screen_name"]) for page in gateway.pages.values()} == expected_pages
    assert organisations_of_org == [None, gateway.organisations[seed.ORG_CODE]["id"]]
    assert gateway.max_running_calls <= 2 * 8
    # Every page of VK has its own token.
    with_token = {token["page_id"] for token in gateway.tokens.values() if token.get("page_id")}
    assert {page["id"] for page in gateway.pages.values() if page["network"] == "vk"} <= with_token
    assert {token["network"] for token in gateway.tokens.values()} == {"vk", "ok"}

    # The emulated citizens have started to write.
    async with aiohttp.ClientSession() as http:
        for network in EMULATED_NETWORKS:
            stored = await _stored(http, settings.url(network))
            async with asyncio.timeout(HANG_SECONDS):
                while await _stored(http, settings.url(network)) == stored:
                    await asyncio.sleep(0.2)

    before = dict(gateway.organisations), dict(gateway.pages), gateway.calls["POST /api/v1/organisations"]
    assert await asyncio.to_thread(seed.seed_demo, settings, data_dir, processes) == "the region already exists"
    assert (gateway.organisations, gateway.pages, gateway.calls["POST /api/v1/organisations"]) == before

    assert len(organisations_of_org) == 2, "existing people are not created again"

    # An interrupted start saves no state; the next start finds everything that was created.
    data_dir.state_file.unlink()
    await asyncio.to_thread(seed.seed_demo, settings, data_dir, processes)
    assert (gateway.organisations, gateway.pages) == before[:2]
    assert organisations_of_org[-1] == gateway.organisations[seed.ORG_CODE]["id"]


async def _stored(http: aiohttp.ClientSession, base: str) -> int:
    async with http.get(f"{base}/_control/counts") as response:
        assert response.status == 200
        return sum(_numbers(await response.json()))


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for child in value.values() for number in _numbers(child)]
    if isinstance(value, list):
        return [number for child in value for number in _numbers(child)]
    return [value] if isinstance(value, int) else []


async def test_refused_sign_in_stops_the_demo_with_the_response(settings: EmbeddedSettings) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "no such person"}, status=401)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", refuse)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port_gateway).start()
    try:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(DemoError, match=r"responded with 401.*no such person") as refusal:
                await DemoApi(settings, http).sign_in("centre", "demo")
        assert "password" not in str(refusal.value)
    finally:
        await runner.cleanup()
