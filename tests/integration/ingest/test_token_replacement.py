"""Tokens that become invalid during a run are replaced without losing messages."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import TestDatabase
from tests.integration.ingest.conftest import TOKEN_FIELDS, Connected, Emulator, connected
from tests.support.eventually import eventually


@pytest.fixture
async def at_work(database: TestDatabase, keys_dir: Path, vk: Emulator) -> AsyncIterator[Connected]:
    """Ingest with its workers, connected to the VK emulator."""
    async with connected(database, keys_dir, vk_api_url=vk.url, token_probe_seconds="1") as run:
        yield run


async def shown(run: Connected) -> dict[str, dict[str, Any]]:
    """Return the tokens as the API shows them, keyed by kind."""
    answer = await run.ingest.client.get("/api/v1/sources/tokens", headers=run.ingest.headers("moderator"))
    return {one["kind"]: one for one in answer.json()["items"]}


def of(vk: Emulator, kind: str, page: str | None = None) -> str:
    """Return the emulator's token of this kind, of the page if one is given."""
    found: str = next(
        one["token"] for one in vk.tokens() if one["kind"] == kind and page in {None, str(one.get("page"))}
    )
    return found


def calls(vk: Emulator, token: str) -> dict[str, int]:
    """Return the emulator's counts of calls with a token: all, during its faults, after its revocation."""
    by_token: dict[str, dict[str, int]] = vk.control.get("/_control/calls").json()["by_token"]
    return by_token.get(token, {"calls": 0, "while_faulty": 0, "after_revoked": 0})


async def enter(run: Connected, given: dict[str, Any], page_id: UUID) -> None:
    """Add a token of the page to ingest."""
    body = {key: given[key] for key in given if key in TOKEN_FIELDS} | {"network": "vk", "page_id": str(page_id)}
    answer = await run.ingest.client.post(
        "/api/v1/sources/tokens", json=body, headers=run.ingest.headers("moderator")
    )
    assert answer.status_code in {200, 201}, answer.text


async def written(run: Connected, page_id: UUID, text: str) -> bool:
    """Return True if a message with this text is stored for the page; fail if it is stored twice."""
    count = await run.raw_connection.fetchval(
        "SELECT count(*) FROM messages WHERE page_id = $1 AND text = $2", page_id, text
    )
    assert count <= 1
    return bool(count)


async def test_solved_captcha_resumes_reading_without_loss(at_work: Connected, vk: Emulator) -> None:
    page = vk.page("captcha")
    page_id = await at_work.connect_page("vk", vk, page)
    vk.citizen(page, "до", kind="message")
    await eventually(lambda: written(at_work, page_id, "до"))
    token = of(vk, "group", page)
    vk.post("faults", kind="persistent", code=14, token=token, until="solved")
    vk.citizen(page, "во время", kind="message")

    async def parked() -> dict[str, Any] | None:
        found = (await shown(at_work))["group"]
        return found if found["state"] == "captcha" else None

    found = await eventually(parked)
    assert found["challenge"]
    solution = vk.post("solve", token=token)
    body = {"success_token": solution["success_token"]}
    if "captcha_sid" in found["challenge"]:
        body = {"captcha_key": solution["captcha_key"]}
    answer = await at_work.ingest.client.post(
        f"/api/v1/sources/tokens/{found['id']}/recover", json=body, headers=at_work.ingest.headers("moderator")
    )
    assert answer.status_code == 200, answer.text
    await eventually(lambda: written(at_work, page_id, "во время"))

    async def over() -> bool:
        healthy = (await shown(at_work))["group"]
        return bool(healthy["state"] == "healthy" and healthy["challenge"] is None)

    await eventually(over)
    assert calls(vk, token)["while_faulty"] <= 3


async def test_revoked_token_is_unused_and_new_one_resumes_page(at_work: Connected, vk: Emulator) -> None:
    page = vk.page("revoked")
    page_id = await at_work.connect_page("vk", vk, page)
    vk.citizen(page, "до", kind="message")
    await eventually(lambda: written(at_work, page_id, "до"))
    token = of(vk, "group", page)
    vk.post("tokens/revoke", token=token)
    vk.citizen(page, "во время", kind="message")

    async def dead() -> bool:
        return bool((await shown(at_work))["group"]["state"] == "revoked")

    await eventually(dead)
    made = vk.post("tokens", kind="group", page=page)
    await enter(at_work, made, page_id)
    await eventually(lambda: written(at_work, page_id, "во время"))
    # Calls in flight at the revocation may have been refused too; later calls do not use the token.
    assert calls(vk, token)["after_revoked"] <= 3
    events = [event["data"] for event in await at_work.events("network_token.state_changed")]
    assert any('"revoked"' in data for data in events)
