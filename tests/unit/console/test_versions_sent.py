"""The version that the client of the API sends in `If-Match`, and how long it waits."""

from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest

from services.console.api_calls.client import Api, ApiUnavailable


async def _token(_refused: str | None) -> str:
    return "token"


@pytest.mark.parametrize(
    ("version", "sent"),
    [(None, None), ("", None), (0, '"0"'), ("0", '"0"'), (7, '"7"'), ('"3-a"', '"3-a"'), ("*", "*")],
)
async def test_version_is_sent_as_an_etag(version: Any, sent: str | None) -> None:
    http = Mock()
    http.request = Mock(side_effect=aiohttp.ClientConnectionError("away"))
    api = Api(http, http, "http://gateway", _token, timeout_seconds=1, page="/")
    with pytest.raises(ApiUnavailable):
        await api.send("POST", "/messages/5a/triage", {}, version=version)
    assert http.request.call_args.kwargs["headers"].get("If-Match") == sent


@pytest.mark.parametrize(
    ("asked", "waits"), [({}, 25), ({"timeout_seconds": 32}, 32), ({"timeout_seconds": 9}, 25)]
)
async def test_call_waits_for_the_longer_timeout(asked: dict[str, Any], waits: float) -> None:
    http = Mock()
    http.request = Mock(side_effect=aiohttp.ClientConnectionError("away"))
    api = Api(http, http, "http://gateway", _token, timeout_seconds=25, page="/")
    with pytest.raises(ApiUnavailable):
        await api.send("POST", "/organisations/import", {}, **asked)
    assert http.request.call_args.kwargs["timeout"].total == waits
