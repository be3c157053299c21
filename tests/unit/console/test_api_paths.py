"""Paths of API calls that contain parts of the browser's address."""

from unittest.mock import Mock

import aiohttp
import pytest
from structlog.testing import capture_logs

from services.console.api_calls.client import Api, ApiUnavailable, NoSuchPath


async def _token(_refused: str | None) -> str:
    return "token"


def _api() -> tuple[Api, Mock]:
    http = Mock()
    http.request = Mock(side_effect=aiohttp.ClientConnectionError("away"))
    return Api(http, http, "http://gateway", _token, timeout_seconds=1, page="/"), http


@pytest.mark.parametrize(
    "part",
    [
        "..",
        "../people",
        "5a/../../people",
        "5a?x=1",
        "5a#x",
        "5a%2F..%2Fpeople",
        "5a\\..",
        "5a\n",
        "5a\x00",
        "\x7f",
    ],
)
async def test_parameter_cannot_change_the_path_of_a_call(part: str) -> None:
    api, http = _api()
    with pytest.raises(NoSuchPath):
        await api.get(f"/appeals/{part}")
    assert http.request.call_count == 0


async def test_valid_part_of_a_path_is_sent_to_the_api() -> None:
    api, http = _api()
    for part in ("5a", "2026-W47", "appeals.csv", "дорога"):
        with pytest.raises(ApiUnavailable):
            await api.get(f"/appeals/{part}")
    assert http.request.call_count == 4


async def test_author_key_appears_in_no_error_or_log() -> None:
    api, _ = _api()
    with pytest.raises(ApiUnavailable) as failed:
        await api.send("POST", "/authors/KEY/erasure")
    assert "KEY" not in str(failed.value)
    with capture_logs() as logs:
        api._log("POST", "/authors/KEY/erasure", {}, 202, 0.1)
    assert logs[0]["path"] == "/authors/…/erasure"
