"""The real Traefik with the gateway's configuration in front of stand-in services."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from cli.embedded.programs import traefik_program
from cli.embedded.temporary_postgres import free_port
from services.gateway.traefik.static_config import static_config
from tests.support.eventually import HANG_SECONDS
from tests.unit.gateway.conftest import Serve

pytestmark = pytest.mark.enable_socket  # Traefik listens on loopback

LIMIT = 1 << 20


def last_of(path: str) -> str:
    """Return the last segment of a path."""
    return path.rpartition("/")[2]


@dataclass
class Services:
    """Stand-ins for all services; record the requests of each."""

    seen: Counter[str] = field(default_factory=Counter)

    def handler(self, name: str) -> "_Handler":
        return _Handler(name, self.seen)


@dataclass
class _Handler:
    name: str
    seen: Counter[str]

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.seen[f"{self.name} {request.method} {request.path}"] += 1
        if self.name == "gateway-service" and request.path.startswith("/errors/"):
            status = int(request.path.rpartition("/")[2])
            return web.json_response(
                {
                    "by": "gateway-service",
                    "instance": request.query["instance"],
                    "accept": request.headers.get("Accept"),
                },
                status=status,
                content_type="application/problem+json",
            )
        if last_of(request.path) == "address":
            names = ("X-Real-Ip", "X-Forwarded-For")
            return web.json_response({name: request.headers.getall(name, []) for name in names})
        if request.path.endswith("/stream"):
            return await self._stream(request)
        if request.path.endswith("/drop"):
            assert request.transport is not None
            request.transport.close()
        last = last_of(request.path)
        if last == "large":
            return web.json_response({"text": "дорога " * 1000}, headers={"ETag": '"3"'})
        body = {"by": self.name, "length": len(await request.read()), "id": request.headers.get("X-Request-Id")}
        return web.json_response(body, status=int(last) if last.isdigit() else 200)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        # Nothing else is sent, so a buffering gateway would not forward the first event.
        await asyncio.sleep(30)
        return response


CORS_ORIGINS = ("https://front.example.ru", "http://localhost:5173")


@dataclass
class Gateway:
    base: str
    internal: str
    http: aiohttp.ClientSession
    services: Services
    log: Path

    async def ask(self, method: str, path: str, data: bytes | None = None) -> tuple[int, dict[str, object]]:
        async with self.http.request(method, self.base + path, data=BytesIO(data or b"")) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def gateway(serve: Serve, tmp_path: Path) -> AsyncIterator[Gateway]:
    services = Services()
    names = ("registry", "ingest", "appeals", "webhooks", "console", "gateway-service")
    urls = {
        f"GOSPABLIK_{name.upper().replace('-', '_')}_URL": await serve(services.handler(name)) for name in names
    }
    urls["GOSPABLIK_METRICS_URL"] = f"http://127.0.0.1:{free_port()}"  # No process listens there.
    limits = {
        "GOSPABLIK_GATEWAY_BODY_BYTES": str(LIMIT),
        "GOSPABLIK_CORS_ORIGINS": ", ".join(CORS_ORIGINS),
    }
    port, internal = free_port(), free_port()
    static = tmp_path / "traefik.yml"
    static.write_text(
        static_config(
            public_address=f"127.0.0.1:{port}",
            internal_address=f"127.0.0.1:{internal}",
            admin_address=f"127.0.0.1:{free_port()}",
        ),
        encoding="utf-8",
    )
    log = tmp_path / "traefik.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            traefik_program(),
            f"--configFile={static}",
            env=os.environ | urls | limits,
            stdout=output,
            stderr=output,
        )
    try:
        async with aiohttp.ClientSession() as http:
            found = Gateway(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{internal}", http, services, log)
            await _until_routed(found)
            yield found
    finally:
        process.kill()  # it would otherwise wait two seconds for idle connections
        await process.wait()


async def _until_routed(gateway: Gateway) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                status, _ = await gateway.ask("GET", "/health")
            except (aiohttp.ClientError, ValueError):
                status = 0
            if status == 200:
                return
            await asyncio.sleep(0.05)


_ROUTES = {
    "/api/v1/auth/revoke": "registry",
    "/api/v1/me": "registry",
    "/api/v1/organisations/1/pages": "registry",
    "/api/v1/municipalities": "registry",
    "/api/v1/.well-known/jwks.json": "registry",
    "/.well-known/jwks.json": "registry",
    "/api/v1/audit": "registry",
    "/api/v1/coverage/missing": "registry",
    "/api/v1/messages/5/versions": "ingest",
    "/api/v1/sources/tokens": "ingest",
    "/api/v1/authors/5a/erasure": "ingest",
    "/api/v1/erasures/5a": "ingest",
    "/callbacks/vk": "ingest",
    "/callbacks/ok/secret": "ingest",
    "/api/v1/messages/5a/triage": "appeals",
    "/api/v1/appeals/counts": "appeals",
    "/api/v1/appeals.csv": "appeals",
    "/api/v1/appeals.xlsx": "appeals",
    "/api/v1/routing-rules": "appeals",
    "/api/v1/rule-sets/5/dry-run": "appeals",
    "/api/v1/reply-templates": "appeals",
    "/api/v1/reply-approvals": "appeals",
    "/api/v1/extension-requests": "appeals",
    "/api/v1/approval-rules": "appeals",
    "/api/v1/reviews": "appeals",
    "/api/v1/assignee-rules": "appeals",
    "/api/v1/absences/5a": "appeals",
    "/api/v1/tags": "appeals",
    "/api/v1/partners/5a/events": "appeals",
    "/api/v1/views/5a": "appeals",
    "/api/v1/promises/ledger": "appeals",
    "/api/v1/classifications": "appeals",
    "/api/v1/classifier": "appeals",
    "/api/v1/webhooks/endpoints": "webhooks",
    "/api/v1/events": "webhooks",
    "/api/v1/asyncapi.json": "webhooks",
    "/api/v1/asyncapi-json": "gateway-service",
    "/api/v1/stream/tickets": "webhooks",
    "/api/v1/notices/unsubscription": "webhooks",
    "/api/v1/me/notices": "webhooks",
    "/api/v1/me/notice-settings": "webhooks",
    "/api/v1/exports/5a/file": "appeals",
    "/api/v1/me/notice-accounts": "webhooks",
    "/api/v1/me/notice-accounts/vk": "webhooks",
    "/api/v1/people/5a/notice-address": "webhooks",
    "/open311/v2/services.json": "appeals",
    "/open311/v2/requests/5a.xml": "appeals",
    "/open311": "console",
    "/health": "gateway-service",
    "/openapi.json": "gateway-service",
    "/docs/start.js": "gateway-service",
    "/internal/publications": "gateway-service",
    "/api/v1/internal": "gateway-service",
    "/api/v1/meetings": "gateway-service",
    "/api/v1/pagesX": "gateway-service",
    "/api/v1/appeals.exe": "gateway-service",
    # Paths that the services serve but the gateway does not expose.
    "/health/ready": "gateway-service",
    "/metrics": "gateway-service",
    "/problems/not-found": "gateway-service",
    # Traefik asks for its error pages itself.
    "/errors/404": "console",
    # All other paths belong to the console.
    "/": "console",
    "/appeals/5a": "console",
    "/healthy": "console",
    "/nothing": "console",
}


async def test_paths_are_routed_to_their_service(gateway: Gateway) -> None:
    found = {
        method: {path: (await gateway.ask(method, path))[1]["by"] for path in _ROUTES}
        for method in ("GET", "POST")
    }
    assert found == {"GET": _ROUTES, "POST": _ROUTES}


async def test_scripts_of_configured_origins_may_call_the_api(gateway: Gateway) -> None:
    for origin in CORS_ORIGINS:
        preflight = {
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,content-type,if-match",
        }
        async with gateway.http.options(f"{gateway.base}/api/v1/appeals/5", headers=preflight) as response:
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
            allowed = response.headers["Access-Control-Allow-Headers"].lower().split(",")
            assert {"authorization", "content-type", "if-match"} <= set(allowed)
        # The gateway's own errors are readable too.
        for path in ("/api/v1/appeals/5", "/api/v1/metrics/sla", "/api/v1/nothing"):
            async with gateway.http.get(gateway.base + path, headers={"Origin": origin}) as response:
                assert response.headers["Access-Control-Allow-Origin"] == origin, path
                assert "ETag" in response.headers["Access-Control-Expose-Headers"]
                assert "Origin" in response.headers["Vary"]
                assert "Access-Control-Allow-Credentials" not in response.headers


async def test_configured_origin_cannot_read_the_console(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.base}/inbox", headers={"Origin": CORS_ORIGINS[0]}) as response:
        assert (await response.json())["by"] == "console"
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_scripts_of_other_origins_are_not_allowed(gateway: Gateway) -> None:
    for origin in (
        "https://evil.example",
        "https://front.example.ru.evil.example",
        "http://front.example.ru",
        "null",
    ):
        for method in ("OPTIONS", "GET"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            async with gateway.http.request(method, f"{gateway.base}/api/v1/appeals", headers=asked) as response:
                assert "Access-Control-Allow-Origin" not in response.headers


async def test_error_responses_of_services_are_not_replaced(gateway: Gateway) -> None:
    for status in (400, 404, 409, 412, 422, 428, 429, 500, 503):
        assert await gateway.ask("GET", f"/api/v1/appeals/{status}") == (
            status,
            {"by": "appeals", "length": 0, "id": None},
        )


async def test_request_to_an_absent_service_gets_a_problem_document_at_once(gateway: Gateway) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        answers = [await gateway.ask("GET", "/api/v1/metrics/sla?x=1") for _ in range(5)]
    assert {status for status, _ in answers} <= {502, 503}
    assert all(answer["by"] == "gateway-service" for _, answer in answers)
    assert str(answers[0][1]["instance"]).endswith("/api/v1/metrics/sla?x=1")
    # Other paths of the absent service are not routed elsewhere: the stand-in would respond with 200.
    for path in ("/api/v1/grading/items/5a", "/api/v1/reports/weekly/2026-W47", "/api/v1/open-data/weeks"):
        assert (await gateway.ask("GET", path))[0] in {502, 503}
    # Other services are not affected.
    assert (await gateway.ask("GET", "/api/v1/appeals"))[0] == 200


async def test_error_page_has_the_format_that_the_client_accepts(gateway: Gateway) -> None:
    headers = {"Accept": "text/html"}
    async with gateway.http.get(f"{gateway.base}/api/v1/metrics/sla", headers=headers) as response:
        assert (await response.json(content_type=None))["accept"] == "text/html"


FORGED = {
    "X-Real-Ip": "198.51.100.7",
    "X-Forwarded-For": "198.51.100.7",
    "X_Real_Ip": "198.51.100.7",
    "Forwarded": "for=198.51.100.7",
}


async def test_clients_cannot_choose_the_address_that_services_see(gateway: Gateway) -> None:
    for forged in (FORGED, *({name: value} for name, value in FORGED.items())):
        async with gateway.http.get(f"{gateway.base}/api/v1/appeals/address", headers=forged) as response:
            assert await response.json() == {"X-Real-Ip": [], "X-Forwarded-For": ["127.0.0.1"]}


async def test_address_sent_by_the_console_is_forwarded_to_services(gateway: Gateway) -> None:
    headers = {"X-Real-Ip": "198.51.100.7"}
    async with gateway.http.get(f"{gateway.internal}/api/v1/appeals/address", headers=headers) as response:
        assert (await response.json())["X-Real-Ip"] == ["198.51.100.7"]
    async with gateway.http.get(f"{gateway.internal}/api/v1/appeals/address") as response:
        assert (await response.json())["X-Real-Ip"] == ["127.0.0.1"]


async def test_entry_point_of_the_console_routes_only_to_the_api(gateway: Gateway) -> None:
    for path, by in (("/api/v1/me", "registry"), ("/api/v1/nothing", "gateway-service")):
        async with gateway.http.get(gateway.internal + path) as response:
            assert (await response.json())["by"] == by
    for path in ("/", "/inbox", "/sign-in", "/callbacks/vk"):
        async with gateway.http.get(gateway.internal + path) as response:
            assert "console" not in await response.text(), path
            assert "ingest" not in await response.text(), path


async def test_body_over_the_limit_is_refused_by_the_gateway(gateway: Gateway) -> None:
    path = "/api/v1/appeals/1/replies"
    status, answer = await gateway.ask("POST", path, b"x" * (LIMIT + 1))
    assert (status, answer["by"]) == (413, "gateway-service")
    assert gateway.services.seen[f"appeals POST {path}"] == 0
    status, answer = await gateway.ask("POST", path, b"x" * LIMIT)
    assert (status, answer["length"]) == (200, LIMIT)


async def test_broken_connection_is_not_retried(gateway: Gateway) -> None:
    status, answer = await gateway.ask("POST", "/api/v1/appeals/drop", b"{}")
    assert (status, answer["by"]) == (502, "gateway-service")
    assert gateway.services.seen["appeals POST /api/v1/appeals/drop"] == 1


async def test_event_stream_is_not_buffered(gateway: Gateway) -> None:
    async with asyncio.timeout(HANG_SECONDS), gateway.http.get(f"{gateway.base}/api/v1/stream") as response:
        assert await response.content.readline() == b"data: 1\n"


async def test_large_bodies_are_compressed_for_clients_that_accept_it(gateway: Gateway) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        for accepted, encoding in (("gzip, br", "gzip"), ("identity", None)):
            headers = {"Accept-Encoding": accepted}
            async with http.get(f"{gateway.base}/api/v1/appeals/large", headers=headers) as response:
                sent = await response.read()
            assert (response.status, response.headers.get("Content-Encoding")) == (200, encoding)
            assert response.headers["ETag"] == '"3"'
            assert (len(sent) < 2_000) is (encoding == "gzip")


async def test_gateway_does_not_limit_rates_and_forwards_429(gateway: Gateway) -> None:
    # Sign-in is throttled by the registry: its 429 must be forwarded.
    answers = await asyncio.gather(*(gateway.ask("POST", "/api/v1/auth/token", b"x") for _ in range(100)))
    assert {status for status, _ in answers} == {200}
    status, answer = await gateway.ask("POST", "/api/v1/auth/429", b"x")
    assert (status, answer["by"]) == (429, "registry")


async def test_request_id_is_forwarded(gateway: Gateway) -> None:
    headers = {"X-Request-Id": "abc-1"}
    async with gateway.http.get(f"{gateway.base}/api/v1/appeals", headers=headers) as response:
        assert (await response.json())["id"] == "abc-1"
    async with asyncio.timeout(HANG_SECONDS):
        while '"request_X-Request-Id":"abc-1"' not in gateway.log.read_text():
            await asyncio.sleep(0.05)


async def test_access_log_contains_no_secret(gateway: Gateway) -> None:
    await gateway.ask("POST", "/callbacks/ok/PATHSECRET", b"{}")
    await gateway.ask("POST", "/callbacks/ok/PATHSECRET/502", b"{}")
    await gateway.ask("POST", "/api/v1/authors/PATHSECRET/erasure", b"{}")
    await gateway.ask("GET", "/api/v1/events?ticket=QUERYSECRET")
    await gateway.ask("GET", "/api/v1/appeals/logged")
    async with asyncio.timeout(HANG_SECONDS):
        while "/api/v1/appeals/logged" not in gateway.log.read_text():
            await asyncio.sleep(0.05)
    written = gateway.log.read_text()
    assert "PATHSECRET" not in written
    assert "QUERYSECRET" not in written
