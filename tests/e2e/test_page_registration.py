"""Registration of pages by address and the steps of a registration, through the gateway."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared import clock
from tests.e2e.conftest import RunningDemo


async def create_community(demo: RunningDemo, network: str, title: str) -> tuple[str, str]:
    """Create a community without registering it. Return its id and screen name."""
    name = f"e2e_{network}_{uuid4().hex[:8]}"
    made = await demo.network(network).http.post("/_control/pages", json={"name": title, "screen_name": name})
    made.raise_for_status()
    return str(made.json()["id"]), name


async def resolve(demo: RunningDemo, address: str, **more: Any) -> httpx.Response:
    return await demo.centre.ask("POST", "/pages/resolve", json={"address": address, **more})


@pytest.mark.parametrize(
    ("network", "spellings"),
    [
        (
            "vk",
            (
                "https://vk.com/club{id}",
                "m.vk.com/wall-{id}_1",
                "vk.ru/{name}?from=x",
                "@{name}",
                "VK.com/{name}/",
            ),
        ),
        (
            "ok",
            ("https://ok.ru/group/{id}", "m.ok.ru/group/{id}/topic/1", "ok.ru/{name}", "odnoklassniki.ru/{name}"),
        ),
    ],
)
async def test_page_is_registered_by_any_of_its_addresses(
    network: str, spellings: tuple[str, ...], demo: RunningDemo
) -> None:
    number, name = await create_community(demo, network, "Школа искусств")
    for spelling in spellings:
        answer = await resolve(demo, spelling.format(id=number, name=name))
        assert answer.status_code == 200, answer.text
        found = answer.json()
        said = {"network": network, "external_id": number, "name": "Школа искусств", "screen_name": name}
        assert found | said | {"page_id": None, "organisation": None} == found
    body = {"organisation_id": demo.organisation_id, "address": spellings[-1].format(id=number, name=name)}
    made = await demo.centre.post("/pages", body)
    assert (made["external_id"], made["name"], list(made["steps"])) == (number, "Школа искусств", ["created"])
    known = (await resolve(demo, spellings[0].format(id=number))).json()
    assert (known["page_id"], known["organisation"]["id"]) == (made["id"], demo.organisation_id)
    again = await demo.centre.ask("POST", "/pages", json=body)
    assert (again.status_code, again.json()["organisation"]) == (409, known["organisation"])
    assert known["organisation"]["name"] in again.json()["detail"]
    await _deactivate(demo, made)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://vk.com/nobody_has_taken_this", "no community with the short name"),
        ("https://ok.ru/nobody_has_taken_this", "No group in Одноклассники has the short name"),
        ("https://vk.com/club999999999", "no community with the id"),
        ("https://vk.com/id700000001", "a person's page"),
        ("https://t.me/school71", "Telegram"),
    ],
)
async def test_address_without_a_community_is_refused_with_a_reason(
    address: str, reason: str, demo: RunningDemo
) -> None:
    answer = await resolve(demo, address)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/address"]
    assert reason in answer.json()["detail"]


async def test_lost_registration_step_is_listed(demo: RunningDemo) -> None:
    number, _ = await create_community(demo, "vk", "Музей")
    body = {"organisation_id": demo.organisation_id, "address": f"vk.com/club{number}"}
    page = await demo.centre.post("/pages", body)
    today = clock.now().astimezone(clock.REGION_TIME_ZONE).date()
    path = f"/pages/{page['id']}/steps"
    early = await demo.centre.ask("PUT", f"{path}/live", json={})
    assert early.status_code == 409
    for step in ("verified", "gov_badge", "live"):
        reached = {
            "reached_on": str(today - timedelta(days=5)),
            "evidence_kind": "document",
            "evidence": "Приказ № 4",
        }
        confirmed = await demo.centre.ask("PUT", f"{path}/{step}", json=reached)
        assert confirmed.status_code == 200, confirmed.text
    refused = await demo.org.ask("PUT", f"{path}/widgets", json={})
    assert refused.status_code == 403
    lost = {"reason": "Сеть сняла отметку", "lost_on": str(today - timedelta(days=1))}
    assert (await demo.centre.ask("DELETE", f"{path}/gov_badge", params=lost)).status_code == 200
    listed = await demo.org.list_all("/pages/lost-steps", step="gov_badge")
    (gone,) = [one for one in listed if one["page_id"] == page["id"]]
    assert (gone["lost_on"], gone["lost_reason"], gone["regained_on"]) == (lost["lost_on"], lost["reason"], None)
    assert page["id"] in [
        one["id"] for one in await demo.org.list_all("/pages", step="live", missing_step="gov_badge")
    ]
    await _deactivate(demo, page)


async def _deactivate(demo: RunningDemo, page: dict[str, Any]) -> None:
    """Deactivate the page, because other tests expect one page per organisation and network."""
    answer = await demo.centre.ask(
        "PATCH", f"/pages/{page['id']}", json={"active": False}, headers={"If-Match": "*"}
    )
    assert answer.status_code == 200, answer.text
