"""Address resolution: which community an id or short name refers to."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import KEYS, TOKEN_FIELDS, Emulator
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page, service_under_test

TITLES = {"vk": "ВКонтакте", "ok": "Одноклассники"}


@pytest.fixture
async def ingest(
    vk: Emulator, ok: Emulator, database: TestDatabase, keys_dir: Path
) -> AsyncIterator[ServiceUnderTest]:
    """Ingest's API connected to both emulators, without any token."""
    urls = {"vk_api_url": vk.url, "ok_api_url": ok.url, "page_refresh_seconds": "0"}
    async with service_under_test("ingest", database, keys_dir, process="api", **KEYS, **urls) as running:
        yield running


async def enter(ingest: ServiceUnderTest, network: str, token: dict[str, Any], page_id: str | None = None) -> None:
    body = {key: token[key] for key in token if key in TOKEN_FIELDS} | {"network": network}
    if page_id is not None:
        body["page_id"] = page_id
    answer = await ingest.client.post("/api/v1/sources/tokens", json=body, headers=ingest.headers("moderator"))
    assert answer.status_code in {200, 201}, answer.text


async def with_tokens(ingest: ServiceUnderTest, network: str, emulator: Emulator) -> None:
    for token in emulator.tokens():
        if token["kind"] != "group":
            await enter(ingest, network, token)


async def ask(ingest: ServiceUnderTest, **body: Any) -> dict[str, Any]:
    headers = ingest.service_headers("registry")
    answer = await ingest.client.post("/internal/pages/resolve", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_id_and_short_name_resolve_to_the_same_community(
    network: str, ingest: ServiceUnderTest, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    name = f"{network}_resolved"
    page = emulator.page(name)
    await with_tokens(ingest, network, emulator)
    expected = {
        "outcome": "found",
        "reason": None,
        "community": {"external_id": page, "name": name, "screen_name": name},
    }
    assert await ask(ingest, network=network, screen_name=name) == expected
    assert await ask(ingest, network=network, external_id=page) == expected


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_address_without_a_community_returns_the_reason(
    network: str, ingest: ServiceUnderTest, request: pytest.FixtureRequest
) -> None:
    emulator: Emulator = request.getfixturevalue(network)
    gone = emulator.page(f"{network}_gone")
    emulator.post("page", page=gone, deactivated="deleted" if network == "vk" else True)
    await with_tokens(ingest, network, emulator)
    for asked, reason in (
        ({"screen_name": "nobody_has_this_name"}, "nobody_has_this_name"),
        ({"external_id": "99999999999999999999"}, "99999999999999999999"),
        ({"screen_name": f"{network}_gone"}, "deleted"),
        ({"external_id": gone}, "deleted"),
    ):
        answer = await ask(ingest, network=network, **asked)
        assert (answer["outcome"], answer["community"]) == ("no_community", None)
        assert reason in answer["reason"]


async def test_vk_user_is_not_a_community(vk: Emulator, ingest: ServiceUnderTest) -> None:
    vk.page("vk_any")
    await with_tokens(ingest, "vk", vk)
    answer = await ask(ingest, network="vk", screen_name="id700000005")
    assert answer["outcome"] == "no_community"
    assert "a person's page" in answer["reason"]


async def test_address_is_resolved_with_any_group_token(
    vk: Emulator, ingest: ServiceUnderTest, database: TestDatabase
) -> None:
    own, other = vk.page("vk_own"), vk.page("vk_other")
    page_id = await insert_page(database, await insert_organisation(database), network="vk", external_id=own)
    token = next(one for one in vk.tokens() if one["kind"] == "group" and str(one["page"]) == own)
    await enter(ingest, "vk", {**token, "page": None}, str(page_id))
    answer = await ask(ingest, network="vk", screen_name="vk_other")
    assert answer["community"]["external_id"] == other


@pytest.mark.parametrize("network", ["vk", "ok"])
async def test_address_resolution_without_a_token_is_unavailable(network: str, ingest: ServiceUnderTest) -> None:
    answer = await ask(ingest, network=network, screen_name="school71")
    assert answer["outcome"] == "unavailable"
    assert answer["reason"] == f"{TITLES[network]} cannot be queried now: there is no usable token"


async def test_address_resolution_after_an_invalid_network_response_is_unavailable(
    vk: Emulator, ingest: ServiceUnderTest
) -> None:
    vk.page("vk_any")
    await with_tokens(ingest, "vk", vk)
    vk.post("faults", kind="wrong_json", rate=1)
    try:
        answer = await ask(ingest, network="vk", screen_name="vk_any")
    finally:
        vk.control.delete("/_control/faults")
    assert answer["outcome"] == "unavailable"
    assert "did not return a valid response" in answer["reason"]


@pytest.mark.parametrize(
    "body",
    [
        {"network": "vk"},
        {"network": "vk", "external_id": "1", "screen_name": "a"},
        {"network": "fb", "external_id": "1"},
        {"network": "vk", "external_id": "-1"},
    ],
)
async def test_invalid_request_to_resolve_an_address_is_refused(
    body: dict[str, Any], ingest: ServiceUnderTest
) -> None:
    headers = ingest.service_headers("registry")
    answer = await ingest.client.post("/internal/pages/resolve", json=body, headers=headers)
    assert answer.status_code == 422
    signed_in = ingest.headers("moderator")
    stranger = await ingest.client.post("/internal/pages/resolve", json=body, headers=signed_in)
    assert stranger.status_code == 401
