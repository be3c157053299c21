"""Ingestion through the gateway: push events, a revoked token, a message removed by the page."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually

CALLBACK_PATH = "/callbacks/vk"


@pytest.fixture
async def server(demo: RunningDemo) -> dict[str, Any]:
    """The callback server that ingest registered for a page of VK: its address, secret and page."""
    page = demo.other_organisations_page("vk")
    token = await _group_token(demo, str(page["external_id"]))

    async def known() -> dict[str, Any] | None:
        listed = await _vk(demo, "groups.getCallbackServers", token, group_id=page["external_id"])
        return next((one for one in listed["items"] if one["status"] == "ok"), None)

    found = await eventually(known, "a callback server that VK confirmed")
    return {**found, "page": page, "group": int(page["external_id"])}


async def _group_token(demo: RunningDemo, external_id: str) -> str:
    items = (await demo.vk.http.get("/_control/tokens")).json()["items"]
    return str(next(one["token"] for one in items if one["kind"] == "group" and str(one["page"]) == external_id))


async def _vk(demo: RunningDemo, method: str, token: str, **params: Any) -> Any:
    form = {**params, "access_token": token, "v": "5.199"}
    answer = await demo.vk.http.post(f"/method/{method}", data=form)
    return answer.json()["response"]


def _event(server: dict[str, Any], kind: str, number: int, text: str, **more: Any) -> dict[str, Any]:
    page = -server["group"]
    comment = {
        "id": number,
        "from_id": 700_001,
        "date": 1_790_000_000,
        "text": text,
        "post_id": 1,
        "owner_id": page,
        "post_owner_id": page,
        "parents_stack": [],
    }
    event = {"type": kind, "group_id": server["group"], "event_id": uuid4().hex, "v": "5.199", "object": comment}
    return {**event, "secret": server["secret_key"], **more}


async def _stored(demo: RunningDemo, text: str) -> list[dict[str, Any]]:
    listed = await demo.centre.get("/messages", network="vk", limit=200)
    return [item for item in listed["items"] if item["text"] == text]


async def test_callback_server_is_registered_under_our_address(demo: RunningDemo, server: dict[str, Any]) -> None:
    assert server["url"] == f"{demo.system.gateway}{CALLBACK_PATH}"
    assert len(server["secret_key"]) > 20
    shown = await demo.centre.get(f"/sources/{server['page']['id']}")
    assert server["secret_key"] not in json.dumps(shown)


async def test_push_without_the_secret_is_refused(demo: RunningDemo, server: dict[str, Any]) -> None:
    text = f"Кто стучится? {uuid4()}"
    good = _event(server, "wall_reply_new", 800_001, text)
    for bad in (
        good | {"secret": "wrong"},
        {key: value for key, value in good.items() if key != "secret"},
        good | {"group_id": 999_999_999},
    ):
        answer = await demo.anyone.post(CALLBACK_PATH, json=bad)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await demo.anyone.post(CALLBACK_PATH, content=b"not json")).status_code == 400
    assert (await demo.anyone.post(CALLBACK_PATH, content=b'{"type": "wall_reply_new"}')).status_code == 400
    assert (await demo.anyone.post(CALLBACK_PATH, content=b"{" + b" " * 5_000_000 + b"}")).status_code == 413
    assert (await demo.anyone.post("/callbacks/ok/no-such-secret", json={})).status_code == 403
    assert await _stored(demo, text) == []


async def test_replayed_event_changes_nothing(demo: RunningDemo, server: dict[str, Any]) -> None:
    first, second = f"Первое слово {uuid4()}", f"Второе слово {uuid4()}"
    new = _event(server, "wall_reply_new", 800_100, first)
    edits = [_event(server, "wall_reply_edit", 800_100, text) for text in (f"{first}!", second)]
    # The network may repeat events in any order.
    for event in (new, *edits, new, edits[0], new):
        answer = await demo.anyone.post(CALLBACK_PATH, json=event)
        assert (answer.status_code, answer.text) == (200, "ok")
        assert answer.headers["content-type"].startswith("text/plain")
    assert len(await _stored(demo, second)) == 1
    assert await _stored(demo, first) == []


async def test_concurrent_events_are_each_stored_once(demo: RunningDemo, server: dict[str, Any]) -> None:
    mark = uuid4()
    events = [_event(server, "wall_reply_new", 810_000 + n, f"Обращение {n} {mark}") for n in range(200)]
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=demo.system.gateway, timeout=60, limits=limits) as http:
        answers = await asyncio.gather(*(http.post(CALLBACK_PATH, json=event) for event in events))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "ok")}
    stored = await demo.centre.list_all("/messages", page_id=server["page"]["id"])
    found = sorted(item["text"] for item in stored if str(mark) in item["text"])
    assert found == sorted(str(event["object"]["text"]) for event in events)


async def test_confirmation_uses_the_current_code(demo: RunningDemo, server: dict[str, Any]) -> None:
    ask = {"type": "confirmation", "group_id": server["group"], "secret": server["secret_key"]}
    codes = set()
    for _ in range(2):
        made = (await demo.vk.http.post("/_control/callback_code", json={"page": server["group"]})).json()
        answer = await demo.anyone.post(CALLBACK_PATH, json=ask)
        assert (answer.status_code, answer.text) == (200, made["code"])
        codes.add(answer.text)
    assert len(codes) == 2
    assert (await demo.anyone.post(CALLBACK_PATH, json=ask | {"secret": "wrong"})).status_code == 403


async def test_revoked_token_is_shown_and_a_new_one_restores_the_source(demo: RunningDemo) -> None:
    page = [p for p in demo.pages if p["network"] == "vk"][-1]
    external_id = str(page["external_id"])
    dead = await _group_token(demo, external_id)
    assert (await demo.vk.http.post("/_control/tokens/revoke", json={"token": dead})).status_code == 200
    lost = f"Написано, пока ключ мёртв {uuid4()}"
    await demo.vk.citizen(external_id, "message", lost)

    async def source() -> dict[str, Any]:
        return await demo.centre.get(f"/sources/{page['id']}")

    async def shown() -> bool:
        return "revoked" in json.dumps(await source())

    await eventually(shown, "the source shows the revoked token")
    issued = (await demo.vk.http.post("/_control/tokens", json={"kind": "group", "page": external_id})).json()
    body = {"network": "vk", "kind": "group", "page_id": page["id"], "token": issued["token"]}
    await demo.centre.post("/sources/tokens", body)

    async def back() -> bool:
        return bool(await _stored(demo, lost))

    await eventually(back, "what was written meanwhile is stored")
    assert len(await _stored(demo, lost)) == 1

    async def healthy() -> bool:
        return bool((await source())["state"] == "healthy")

    await eventually(healthy, "the source is healthy again")


async def test_centre_sees_a_message_removed_by_the_page(demo: RunningDemo) -> None:
    page = demo.page("vk")
    text = f"Почему закрыли бассейн? {uuid4()}"
    written = await demo.vk.citizen(page["external_id"], "comment", text)

    async def arrived() -> bool:
        return bool(await _stored(demo, text))

    await eventually(arrived, "the question is stored")
    removed = {"page": page["external_id"], "id": written["id"], "by": "community"}
    assert (await demo.vk.http.post("/_control/delete", json=removed)).status_code == 200

    async def listed() -> dict[str, Any] | None:
        listed = await demo.centre.get("/messages", deleted_by="community")
        return next((item for item in listed["items"] if item["text"] == text), None)

    found = await eventually(listed, "the removed question is listed")
    assert found["deleted_at"] is not None
    assert found["page_id"] == page["id"]
