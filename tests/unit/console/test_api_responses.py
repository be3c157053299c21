"""Responses of the API that are no documents: what a page and a session make of them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from services.console.api_calls.client import Api, ApiProblem, ApiUnavailable, SignedOut
from services.console.browser_sessions.token_endpoint import (
    EndpointUnavailable,
    SessionEnded,
    TokenEndpoint,
    Tokens,
)

TOKENS = Tokens("access", "refresh", 900)


class _Response:
    """A response with this status and body."""

    def __init__(self, status: int, body: str = "", **headers: str) -> None:
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._body = body

    async def read(self) -> bytes:
        return self._body.encode()

    async def json(self, content_type: str | None = None) -> Any:
        return json.loads(self._body)


class _Http:
    """An HTTP session that gives these responses one after the other."""

    def __init__(self, *responses: _Response) -> None:
        self._responses = list(responses)
        self.tokens: list[str] = []

    @asynccontextmanager
    async def request(self, method: str, url: str, **options: Any) -> AsyncIterator[_Response]:
        self.tokens.append(options.get("headers", {}).get("Authorization", ""))
        yield self._responses.pop(0)

    def get(self, url: str, **options: Any) -> Any:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        return self.request("POST", url, **options)


def _api(http: _Http) -> Api:
    async def token(refused: str | None) -> str | None:
        return None if refused == "second" else "second" if refused else "first"

    session = cast(aiohttp.ClientSession, http)
    return Api(session, session, "http://gateway", token, timeout_seconds=5, page="/page")


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "[]", '"broken"'])
async def test_response_without_a_problem_document_means_that_the_api_is_unavailable(body: str) -> None:
    with pytest.raises(ApiUnavailable, match="status 502"):
        await _api(_Http(_Response(502, body))).get("/appeals")


async def test_problem_document_keeps_its_status_and_request_id() -> None:
    body = json.dumps({"type": "/problems/conflict", "detail": "Closed."})
    with pytest.raises(ApiProblem) as raised:
        await _api(_Http(_Response(409, body, X_Request_Id="r-1"))).send("POST", "/appeals")
    assert (raised.value.status, raised.value.slug, raised.value.request_id) == (409, "conflict", "r-1")


async def test_refused_token_is_replaced_once_and_then_the_person_is_signed_out() -> None:
    again = _Http(_Response(401), _Response(200, '{"ok": true}'))
    assert await _api(again).get("/me") == {"ok": True}
    assert again.tokens == ["Bearer first", "Bearer second"]
    with pytest.raises(SignedOut):
        await _api(_Http(_Response(401), _Response(401))).get("/me")


async def test_upload_with_a_refused_token_is_not_repeated() -> None:
    http = _Http(_Response(401))  # a second request would find no response
    with pytest.raises(SignedOut):
        await _api(http).send("POST", "/attachments", form=aiohttp.FormData())
    assert len(http.tokens) == 1


async def test_list_that_has_no_end_is_read_for_a_limited_number_of_pages() -> None:
    page = _Response(200, json.dumps({"items": [1], "next_cursor": "more"}))
    assert await _api(_Http(page, page, page)).get_all("/topics", pages=2) == [1, 1]


def _endpoint(response: _Response) -> TokenEndpoint:
    return TokenEndpoint(cast(aiohttp.ClientSession, _Http(response)), "http://gateway/auth")


@pytest.mark.parametrize(
    "response", [_Response(503), _Response(200, "<html>")], ids=["unavailable", "no document"]
)
async def test_sign_in_methods_that_cannot_be_read_mean_that_the_endpoint_is_unavailable(
    response: _Response,
) -> None:
    with pytest.raises(EndpointUnavailable):
        await _endpoint(response).methods()


async def test_issuer_without_a_client_of_the_console_is_not_offered() -> None:
    external = {"issuer": "https://issuer.example", "client_id": None}
    document = json.dumps({"password": True, "external": external})
    methods = await _endpoint(_Response(200, document)).methods()
    assert (methods.password, methods.issuer) == (True, None)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (_Response(400), SessionEnded),
        (_Response(429), EndpointUnavailable),
        (_Response(400, Retry_After="30"), EndpointUnavailable),
        (_Response(502), EndpointUnavailable),
        (_Response(200, "<html>"), EndpointUnavailable),
    ],
    ids=["refused", "throttled", "throttled name", "bad gateway", "no document"],
)
async def test_only_a_refused_refresh_ends_the_session(response: _Response, error: type[Exception]) -> None:
    with pytest.raises(error):
        await _endpoint(response).refresh(TOKENS)


async def test_revocation_that_the_api_did_not_confirm_is_reported() -> None:
    await _endpoint(_Response(200)).revoke(TOKENS)
    with pytest.raises(EndpointUnavailable):
        await _endpoint(_Response(500)).revoke(TOKENS)
