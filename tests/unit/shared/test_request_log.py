"""Every request has its id in all log lines, an access line, and security headers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from shared.http.request_log import API_HEADERS, Observe
from shared.logs import get_logger


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()

    @app.get("/callbacks/{secret}")
    async def spoken(secret: str) -> str:
        get_logger("route").info("inside", length=len(secret))
        return "ok"

    @app.get("/keys")
    async def keys(response: Response) -> str:
        response.headers["Cache-Control"] = "public, max-age=300"
        return "keys"

    app.add_middleware(Observe, service="registry", defaults=API_HEADERS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as found:
        yield found


async def logged(client: httpx.AsyncClient, given: str | bytes | None) -> tuple[str, list[Any]]:
    headers = {} if given is None else {"X-Request-Id": given}
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await client.get("/callbacks/PATHSECRET?ticket=QUERYSECRET", headers=headers)  # type: ignore[arg-type]
    return answer.headers["x-request-id"], lines


async def test_request_id_sent_by_the_caller_is_logged(client: httpx.AsyncClient) -> None:
    identity, lines = await logged(client, "order-17.a")
    assert identity == "order-17.a"
    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("inside", "order-17.a"),
        ("request", "order-17.a"),
    ]
    access = lines[1]
    assert (access["method"], access["route"], access["status"]) == ("GET", "/callbacks/{secret}", 200)
    assert access["ms"] >= 0
    assert "SECRET" not in str(lines)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 65,
        "line\tbreak",
        b"\x1b[31mred",
        "two words",
        '{"event": "forged"}',
        "приказ".encode(),
        "\u0085".encode("latin-1"),
        "8-924-123-45-67",
        "ivanova@mail.ru",
    ],
)
async def test_invalid_request_id_is_not_logged(client: httpx.AsyncClient, given: str | bytes) -> None:
    identity, lines = await logged(client, given)
    assert identity != given
    assert len(identity) == 36
    assert {line["request_id"] for line in lines} == {identity}


async def test_responses_are_not_cached_unless_the_route_allows_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/callbacks/x")
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    keys = await client.get("/keys")
    assert keys.headers.get_list("cache-control") == ["public, max-age=300"]
