"""Pages given by address: the registry calls ingest over HTTP; a small server stands in for ingest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiohttp import web

from shared.auth import tokens
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers, registry_asking
from tests.support.service_under_test import CENTRE_SUBJECT, ServiceUnderTest

KNOWN = {"external_id": "101", "name": "Школа № 71", "screen_name": "school71"}
PATH = "/api/v1/pages"


@dataclass
class Ingest:
    """A stand-in for ingest: records the requests and sends the configured responses."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    answer: dict[str, Any] = field(
        default_factory=lambda: {"outcome": "found", "reason": None, "community": KNOWN}
    )
    status: int = 200

    async def resolve(self, request: web.Request) -> web.Response:
        """Handle `POST /internal/pages/resolve`."""
        self.asked.append(await request.json())
        self.callers.append(request.headers["Authorization"].removeprefix("Bearer "))
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


@pytest.fixture
async def registry(ingest: Ingest, database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    """Return the registry's API with a stand-in for ingest."""
    async with registry_asking(ingest.resolve, database, keys_dir) as running:
        yield running


async def resolve(registry: ServiceUnderTest, address: str, **more: Any) -> Any:
    body = {"address": address, **more}
    return await registry.client.post(f"{PATH}/resolve", json=body, headers=registry.headers("moderator"))


async def test_address_is_resolved_on_behalf_of_the_caller(
    registry: ServiceUnderTest, ingest: Ingest, keys_dir: Path
) -> None:
    answer = await resolve(registry, " https://m.vk.com/School71?from=x ")
    assert answer.status_code == 200
    nobody = {"page_id": None, "organisation": None}
    assert answer.json() == {"network": "vk", "url": "https://vk.com/club101", **KNOWN, **nobody}
    assert ingest.asked == [{"network": "vk", "external_id": None, "screen_name": "school71"}]
    keys = tokens.read_key_set(keys_dir / "services.jwks")
    claims = tokens.verify(ingest.callers[0], keys, audience="ingest")
    assert (claims["iss"], claims["act"]) == ("registry", CENTRE_SUBJECT)
    await resolve(registry, "ok.ru/group/53038939046008")
    await resolve(registry, "school71", network="ok")
    assert ingest.asked[1:] == [
        {"network": "ok", "external_id": "53038939046008", "screen_name": None},
        {"network": "ok", "external_id": None, "screen_name": "school71"},
    ]


async def test_resolved_address_names_the_organisation_of_a_registered_page(registry: ServiceUnderTest) -> None:
    owner = await make(registry, "/organisations", name="Школа № 71 города", kind="institution")
    other = await make(registry, "/organisations", name="Школа № 1", kind="institution")
    page = await make(registry, "/pages", organisation_id=owner["id"], address="@school71")
    assert {name: page[name] for name in KNOWN} == KNOWN
    assert (page["network"], page["url"], list(page["steps"])) == ("vk", "https://vk.com/club101", ["created"])
    found = (await resolve(registry, "vk.com/school71")).json()
    whose = {"id": owner["id"], "name": "Школа № 71 города"}
    assert (found["page_id"], found["organisation"]) == (page["id"], whose)
    again = await registry.client.post(
        PATH,
        json={"organisation_id": other["id"], "address": "https://vk.com/club101"},
        headers=registry.headers("moderator"),
    )
    assert (again.status_code, again.json()["organisation"], again.json()["page_id"]) == (409, whose, page["id"])
    assert pointers(again) == {"/address"}
    assert "«Школа № 71 города»" in again.json()["detail"]


async def test_repeated_registration_gets_the_stored_response_while_its_network_is_down(
    registry: ServiceUnderTest, ingest: Ingest
) -> None:
    owner = await make(registry, "/organisations", name="Школа № 71", kind="institution")
    headers = registry.headers("moderator", **{"Idempotency-Key": "once"})

    async def post(address: str) -> httpx.Response:
        body = {"organisation_id": owner["id"], "address": address}
        return await registry.client.post(PATH, json=body, headers=headers)

    first = await post("@school71")
    assert first.status_code == 201
    ingest.answer = {"outcome": "unavailable", "reason": "no usable token", "community": None}
    again = await post("@school71")
    assert (again.status_code, again.headers["idempotent-replay"]) == (201, "true")
    assert again.json() == first.json()
    assert {name: again.headers[name] for name in ("etag", "location")} == {
        name: first.headers[name] for name in ("etag", "location")
    }
    other = await post("@school72")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert len(ingest.asked) == 1


async def test_no_request_to_ingest_is_made_for_a_caller_without_access(
    registry: ServiceUnderTest, ingest: Ingest
) -> None:
    headers = {"Authorization": f"Bearer {registry.token('moderator', subject=str(uuid4()))}"}
    body = {"address": "@school71"}
    for path, more in ((PATH, {"organisation_id": str(uuid4())}), (f"{PATH}/resolve", {})):
        answer = await registry.client.post(path, json=body | more, headers=headers)
        assert (answer.status_code, ingest.asked) == (401, [])


async def test_name_given_with_an_address_is_kept(registry: ServiceUnderTest) -> None:
    owner = await make(registry, "/organisations", name="Школа № 71", kind="institution")
    page = await make(
        registry, "/pages", organisation_id=owner["id"], address="vk.com/school71", name="Наша школа", network="vk"
    )
    assert (page["name"], page["external_id"]) == ("Наша школа", "101")


@pytest.mark.parametrize(
    ("address", "more", "reason"),
    [
        ("vk.com/id1", {}, "person's page"),
        ("t.me/school71", {}, "Telegram"),
        ("101", {}, "give the network"),
        ("ok.ru/school71", {"network": "vk"}, "not in ВКонтакте"),
    ],
)
async def test_unparsable_address_is_refused_without_a_request_to_the_network(
    address: str, more: dict[str, Any], reason: str, registry: ServiceUnderTest, ingest: Ingest
) -> None:
    owner = await make(registry, "/organisations", name="Школа № 71", kind="institution")
    body = {"organisation_id": owner["id"], "address": address, "name": "Школа", **more}
    made = await registry.client.post(PATH, json=body, headers=registry.headers("moderator"))
    for answer in (await resolve(registry, address, **more), made):
        assert answer.status_code == 422
        assert pointers(answer) == {"/address"}
        assert reason in answer.json()["detail"]
    assert ingest.asked == []


async def test_unknown_community_is_refused_with_the_reason_given_by_ingest(
    registry: ServiceUnderTest, ingest: Ingest
) -> None:
    ingest.answer = {
        "outcome": "no_community",
        "reason": "ВКонтакте has no community with the short name «school72»",
        "community": None,
    }
    answer = await resolve(registry, "vk.com/school72")
    assert (answer.status_code, pointers(answer)) == (422, {"/address"})
    assert "«school72»" in answer.json()["detail"]


async def test_resolving_with_an_unavailable_network_gets_503(registry: ServiceUnderTest, ingest: Ingest) -> None:
    ingest.answer = {"outcome": "unavailable", "reason": "no usable token", "community": None}
    answer = await resolve(registry, "vk.com/school71")
    assert (answer.status_code, answer.json()["detail"]) == (503, "no usable token")
    ingest.status = 500
    answer = await resolve(registry, "vk.com/school71")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    ingest.status = 422
    answer = await resolve(registry, "vk.com/school71")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/upstream-failed")


async def test_page_without_an_address_or_a_complete_id_or_with_both_is_refused(
    registry: ServiceUnderTest, ingest: Ingest
) -> None:
    owner = await make(registry, "/organisations", name="Школа № 71", kind="institution")
    for body, named in (
        ({}, {"/network", "/external_id", "/name"}),
        ({"network": "vk", "external_id": "5"}, {"/name"}),
        ({"external_id": "5", "name": "Школа"}, {"/network"}),
        ({"address": "vk.com/club5", "external_id": "5"}, {"/external_id"}),
        ({"address": ""}, {"/address"}),
        ({"address": "vk.com/club5\x00"}, {"/address"}),
    ):
        answer = await registry.client.post(
            PATH, json={"organisation_id": owner["id"], **body}, headers=registry.headers("moderator")
        )
        assert (answer.status_code, pointers(answer)) == (422, named)
    assert ingest.asked == []


async def test_resolving_without_right_is_refused(registry: ServiceUnderTest, ingest: Ingest) -> None:
    for role in ("analyst", "auditor", "operations"):
        answer = await registry.client.post(
            f"{PATH}/resolve", json={"address": "vk.com/school71"}, headers=registry.headers(role)
        )
        assert answer.status_code == 403
    assert ingest.asked == []


async def listed(registry: ServiceUnderTest, address: str, **more: str) -> Any:
    query = {"address": address, **more}
    return await registry.client.get(PATH, params=query, headers=registry.headers("head"))


async def test_registered_page_is_found_by_any_address_without_a_request_to_ingest(
    registry: ServiceUnderTest, ingest: Ingest
) -> None:
    owner = await make(registry, "/organisations", name="Школа № 71", kind="institution")
    common = {"organisation_id": owner["id"], "screen_name": "School71"}
    vk = await make(registry, "/pages", **common, network="vk", external_id="101", name="А")
    ok = await make(registry, "/pages", **common, network="ok", external_id="101", name="Б")
    same = await make(registry, "/pages", **common, network="ok", external_id="102", name="В")
    await make(registry, "/pages", organisation_id=owner["id"], network="vk", external_id="103", name="Г")

    async def found(address: str, **more: str) -> list[str]:
        answer = await listed(registry, address, **more)
        assert answer.status_code == 200, answer.text
        return [page["id"] for page in answer.json()["items"]]

    for address in (
        "https://m.vk.com/wall-101_5?reply=2",
        "vk.ru/SCHOOL71",
        "@school71",
        "[club101|Школа]",
        "Наша страница: https://vk.com/School71?from=feed#top",
    ):
        assert await found(address) == [vk["id"]]
    assert await found("101", network="vk") == [vk["id"]]
    assert await found("ok.ru/group/101/topics") == [ok["id"]]
    assert await found("schooL71", network="ok") == [ok["id"], same["id"]]
    assert await found("ok.ru/school71", external_id="102") == [same["id"]]
    assert await found("vk.com/club103") != []
    for nobodys in ("vk.com/club999", "vk.com/school", "vk.com/school7_"):
        assert await found(nobodys) == []
    assert ingest.asked == []


@pytest.mark.parametrize(
    ("address", "more", "reason"),
    [
        ("vk.com/id1", {}, "person's page"),
        ("School71", {}, "give the network"),
        ("ok.ru/school71", {"network": "vk"}, "not in ВКонтакте"),
        ("two words", {}, "no address"),
        ("", {}, ""),
        ("vk.com/club5\x00", {}, "NUL"),
        ("a" * 2001, {}, ""),
    ],
)
async def test_invalid_address_filter_is_refused(
    address: str, more: dict[str, str], reason: str, registry: ServiceUnderTest
) -> None:
    answer = await listed(registry, address, **more)
    assert (answer.status_code, pointers(answer)) == (422, {"query/address"})
    assert reason in answer.json()["errors"][0]["detail"]
