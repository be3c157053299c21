"""The gateway service in front of stand-in services: health, the merged document, its page, error pages."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from services.gateway.app import create_app
from services.gateway.settings import API_SERVICES, GatewaySettings
from tests.support.eventually import HANG_SECONDS
from tests.unit.gateway.conftest import Serve

pytestmark = pytest.mark.enable_socket  # the gateway service calls servers on loopback


class Fake:
    """A stand-in service that can fail, respond slowly or be absent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = True
        self.warnings: dict[str, str] = {}
        self.delay = 0.0
        self.documented = True
        self.readiness_reads = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self.delay)
        if request.path == "/health/ready":
            self.readiness_reads += 1
            status = "fail" if not self.ready else "warn" if self.warnings else "pass"
            checks = self.warnings if self.ready else {"database": "secret-host refused"}
            return web.json_response({"status": status, "checks": checks}, status=200 if self.ready else 503)
        if request.path == "/openapi.json" and self.documented:
            path = {"get": {"operationId": f"{self.name}_list", "responses": {}}}
            return web.json_response({"openapi": "3.1.0", "info": {}, "paths": {f"/api/v1/{self.name}": path}})
        raise web.HTTPNotFound


@pytest.fixture
def services() -> dict[str, Fake]:
    return {name: Fake(name) for name in (*API_SERVICES, "console")}


@asynccontextmanager
async def _gateway(settings: GatewaySettings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        yield client


@pytest.fixture
async def gateway(services: dict[str, Fake], serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    urls = {f"{name}_url": await serve(fake) for name, fake in services.items()}
    settings = GatewaySettings.model_validate(urls | {"openapi_cache_seconds": 0, "gateway_body_bytes": 2048})
    async with _gateway(settings) as client:
        yield client


async def test_health_passes_when_all_services_are_ready(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/health+json")
    assert answer.json()["status"] == "pass"
    assert set(answer.json()["checks"]) == {f"{name}:ready" for name in (*API_SERVICES, "console")}


async def test_responses_forbid_content_sniffing(gateway: httpx.AsyncClient) -> None:
    for path in ("/health", "/docs", "/openapi.json", "/nothing"):
        assert (await gateway.get(path)).headers.get_list("x-content-type-options") == ["nosniff"], path


async def test_health_names_the_failing_service_without_internal_details(
    gateway: httpx.AsyncClient, services: dict[str, Fake]
) -> None:
    services["ingest"].ready = False
    answer = await gateway.get("/health")
    assert answer.status_code == 503
    document = answer.json()
    assert document["status"] == "fail"
    assert document["output"] == "not ready: ingest"
    assert document["checks"]["ingest:ready"][0]["output"] == "database"
    assert document["checks"]["appeals:ready"][0]["status"] == "pass"
    assert "secret-host" not in answer.text


async def test_health_names_a_worker_that_is_down(services: dict[str, Fake], serve: Serve) -> None:
    urls = {f"{name}_url": await serve(fake) for name, fake in services.items()}
    worker = Fake("ingest-worker")
    own = {"ingest_worker_url": await serve(worker), "health_cache_seconds": 0}
    settings = GatewaySettings.model_validate(urls | own)
    async with _gateway(settings) as client:
        before = await client.get("/health")
        worker.ready = False
        after = await client.get("/health")
    assert before.json()["checks"]["ingest-worker:ready"][0]["status"] == "pass"
    assert (after.status_code, after.json()["output"]) == (503, "not ready: ingest-worker")


async def test_parallel_and_quickly_repeated_requests_query_each_process_once(
    services: dict[str, Fake], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {f"{name}_url": await serve(fake) for name, fake in services.items()}
    async with _gateway(GatewaySettings.model_validate(urls)) as client:
        answers = await asyncio.gather(*(client.get("/health") for _ in range(20)))
        assert {answer.json()["status"] for answer in answers} == {"pass"}
        assert {fake.readiness_reads for fake in services.values()} == {1}
        later = time.monotonic() + 1.0
        monkeypatch.setattr("services.gateway.aggregation.health.monotonic", lambda: later)
        services["ingest"].ready = False
        assert (await client.get("/health")).status_code == 503
    assert {fake.readiness_reads for fake in services.values()} == {2}


async def test_health_warns_of_a_partly_ready_service(
    gateway: httpx.AsyncClient, services: dict[str, Fake]
) -> None:
    services["appeals"].warnings = {"attachments": "secret-host refused"}
    answer = await gateway.get("/health")
    assert answer.status_code == 200
    document = answer.json()
    assert (document["status"], document["output"]) == ("warn", "partly ready: appeals")
    assert document["checks"]["appeals:ready"][0]["output"] == "attachments"
    assert "secret-host" not in answer.text


async def test_health_times_out_on_a_silent_service(gateway: httpx.AsyncClient, services: dict[str, Fake]) -> None:
    services["metrics"].delay = 30
    async with asyncio.timeout(HANG_SECONDS):
        answer = await gateway.get("/health")
    assert answer.status_code == 503
    assert answer.json()["output"] == "not ready: metrics"


async def test_unreachable_service_fails_health_and_is_listed_as_missing() -> None:
    urls = {f"{name}_url": "http://127.0.0.1:1" for name in (*API_SERVICES, "console")}
    async with _gateway(GatewaySettings.model_validate(urls)) as client:
        health = await client.get("/health")
        document = await client.get("/openapi.json")
    assert health.status_code == 503
    assert "127.0.0.1:1" not in health.text
    assert document.status_code == 200
    assert document.json()["x-missing"] == list(API_SERVICES)
    assert "/health" in document.json()["paths"]


async def test_request_with_a_matching_etag_gets_304(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/openapi.json")
    assert {f"/api/v1/{name}" for name in API_SERVICES} <= set(answer.json()["paths"])
    etag = answer.headers["etag"]
    again = await gateway.get("/openapi.json", headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.content == b""
    other = await gateway.get("/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_last_document_of_a_service_that_is_down_is_still_merged(
    gateway: httpx.AsyncClient, services: dict[str, Fake]
) -> None:
    before = await gateway.get("/openapi.json")
    services["appeals"].documented = False
    after = await gateway.get("/openapi.json")
    assert "/api/v1/appeals" in after.json()["paths"]
    assert after.headers["etag"] == before.headers["etag"]


async def test_docs_page_loads_nothing_from_other_hosts(gateway: httpx.AsyncClient) -> None:
    page = await gateway.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name, kind in (
        ("swagger-ui-bundle.js", "javascript"),
        ("swagger-ui.css", "css"),
        ("start.js", "javascript"),
    ):
        assert f'"/docs/{name}"' in page.text
        asset = await gateway.get(f"/docs/{name}")
        assert asset.status_code == 200
        assert kind in asset.headers["content-type"]
        assert len(asset.content) > 100


@pytest.mark.parametrize("name", ["index.html", "..%2f__init__.py", "nothing.js"])
async def test_unlisted_files_of_the_package_are_404(gateway: httpx.AsyncClient, name: str) -> None:
    answer = await gateway.get(f"/docs/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (413, "payload-too-large"),
        (502, "bad-gateway"),
        (503, "unavailable"),
        (504, "gateway-timeout"),
    ],
)
async def test_gateway_errors_are_problem_documents(gateway: httpx.AsyncClient, status: int, slug: str) -> None:
    answer = await gateway.get(f"/errors/{status}", params={"instance": "http://host/api/v1/appeals?secret=1"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["instance"] == "/api/v1/appeals"
    kind = await gateway.get(problem["type"])
    assert kind.json()["status"] == status


@pytest.mark.parametrize(("status", "asks_again"), [(413, False), (502, True), (503, True), (504, True)])
async def test_browser_gets_a_page_instead_of_a_problem_document(
    gateway: httpx.AsyncClient, status: int, asks_again: bool
) -> None:
    answer = await gateway.get(f"/errors/{status}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert ('http-equiv="refresh"' in answer.text) == asks_again


async def test_error_page_states_the_limit_and_hides_callback_secrets(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/errors/413", params={"instance": "http://host/callbacks/ok/S3CRET"})
    assert "2048 bytes" in answer.json()["detail"]
    assert "S3CRET" not in answer.text


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize("status", [0, 100, 204, 404, 700])
async def test_status_that_the_gateway_does_not_send_has_no_error_page(
    gateway: httpx.AsyncClient, status: int, accept: str
) -> None:
    answer = await gateway.get(f"/errors/{status}", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_error_page_for_an_unreadable_address_names_none(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/errors/502", params={"instance": "//["})
    assert (answer.status_code, answer.json()["instance"]) == (502, "/")


async def test_unknown_path_is_a_problem_document(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.post("/api/v2/nothing", content=b"x")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"
    assert answer.json()["instance"] == "/api/v2/nothing"
    assert (await gateway.get("/problems/nothing")).status_code == 404


@pytest.mark.parametrize(
    "origins",
    [
        "*",
        "https://front.example.ru/",
        "front.example.ru",
        "https://Front.example.ru",
        "null",
        "https://a.ru,,",
        "https://a.ru:443",
        "http://a.ru:80",
    ],
)
def test_setting_with_an_invalid_origin_is_refused(origins: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        GatewaySettings(cors_origins=origins)


@pytest.mark.parametrize("size", [0, -1])
def test_body_limit_that_the_gateway_takes_as_none_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"gateway_body_bytes[\s\S]*greater than 0"):
        GatewaySettings(gateway_body_bytes=size)


@pytest.mark.parametrize("origins", ["", "https://front.example.ru", "http://localhost:5173, https://[::1]:8443"])
def test_setting_with_origins_is_accepted(origins: str) -> None:
    assert GatewaySettings(cors_origins=origins).cors_origins == origins
