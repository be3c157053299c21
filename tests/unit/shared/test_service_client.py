"""Commands between services: errors that reject a command, and retryable errors."""

from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.contextvars import bound_contextvars

from shared.auth import tokens
from shared.auth.tokens import Signer
from shared.service_client import FileTooLarge, ServiceClient, ServiceRejected, ServiceUnavailable
from shared.settings import Settings

pytestmark = pytest.mark.enable_socket  # a service on loopback


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (401, ServiceUnavailable), (409, ServiceUnavailable), (429, ServiceUnavailable), (503, ServiceUnavailable),
        (403, ServiceRejected), (422, ServiceRejected),
    ],
)  # fmt: skip
async def test_only_errors_caused_by_the_command_are_rejections(status: int, raised: type[Exception]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"detail": "no"}, status=status)

    app = web.Application()
    app.router.add_post("/internal/publications", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        there = cast("Settings", SimpleNamespace(service_url=lambda _: f"http://127.0.0.1:{server.port}"))
        client = ServiceClient("appeals", Signer("appeals", tokens.new_key("appeals.1")), there, http)
        with pytest.raises(raised):
            await client.post(
                "ingest", "/internal/publications", {}, on_behalf_of="p", idempotency_key="1", attempts=1
            )


@pytest.mark.parametrize("chunked", [False, True])
async def test_oversized_file_is_not_requested_again(*, chunked: bool) -> None:
    requests = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request.path)
        response = web.Response(body=b"x" * 101)
        if chunked:  # without Content-Length
            response.enable_chunked_encoding()
        return response

    app = web.Application()
    app.router.add_get("/internal/files/1", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        there = cast("Settings", SimpleNamespace(service_url=lambda _: f"http://127.0.0.1:{server.port}"))
        client = ServiceClient("webhooks", Signer("webhooks", tokens.new_key("webhooks.1")), there, http)
        with pytest.raises(FileTooLarge):
            await client.get_file("metrics", "/internal/files/1", on_behalf_of="webhooks", max_bytes=100)
        assert (
            len(await client.get_file("metrics", "/internal/files/1", on_behalf_of="webhooks", max_bytes=101))
            == 101
        )
    assert len(requests) == 2


async def test_called_service_logs_the_request_id_of_the_first_request() -> None:
    received = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request.headers.get("X-Request-Id"))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/internal/publications", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        there = cast("Settings", SimpleNamespace(service_url=lambda _: f"http://127.0.0.1:{server.port}"))
        client = ServiceClient("appeals", Signer("appeals", tokens.new_key("appeals.1")), there, http)
        with bound_contextvars(request_id="from-the-front-end"):
            await client.post("ingest", "/internal/publications", {}, on_behalf_of="p", idempotency_key="1")
    assert received == ["from-the-front-end"]
