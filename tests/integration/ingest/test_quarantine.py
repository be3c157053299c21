"""Quarantined payloads: listing, access and parsing again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.ingest.networks.port import PageRef, UnparsedPayload
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import MOMENT, Bench, made_bench
from tests.support.service_under_test import insert_organisation, insert_page

COMMENT = {"id": 7, "post_id": 3, "owner_id": -101, "from_id": 5001, "date": 1_772_424_300, "text": "Где автобус?"}
EVENT = {"type": "wall_reply_new", "group_id": 101, "event_id": "a", "object": COMMENT}
BROKEN = {**EVENT, "object": {**COMMENT, "id": None}}
MESSAGE = {
    "webhookType": "MESSAGE_CREATED",
    "sender": {"user_id": "user:77", "name": "Имя Фамилия"},
    "recipient": {"chat_id": "chat:C1"},
    "message": {"mid": "mid:1", "text": "Где автобус?"},
    "timestamp": 1_772_424_300_000,
}


@pytest.fixture
async def bench(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Bench]:
    """Ingest without workers."""
    async with made_bench(database, keys_dir) as made:
        yield made


async def ok_page(bench: Bench, database: TestDatabase) -> PageRef:
    """Register a page of another network and organisation."""
    organisation = await insert_organisation(database, name="Больница")
    page_id = await insert_page(database, organisation, network="ok", external_id="202")
    return PageRef(id=page_id, organisation_id=organisation, network="ok", external_id="202", go_live_at=MOMENT)


async def put_aside(bench: Bench, raw: Any, reason: str = "a riddle", page: PageRef | None = None) -> None:
    """Quarantine a payload as the intake does if no parser accepts it."""
    await bench.take(page=page, unreadable=[UnparsedPayload(reason, raw)])


async def call(bench: Bench, path: str = "", *, method: str = "GET", role: str = "operations") -> Any:
    """Send a request about quarantined payloads."""
    return await bench.ingest.client.request(
        method, f"/api/v1/sources/quarantine{path}", headers=bench.ingest.headers(role)
    )


async def the_only(bench: Bench) -> dict[str, Any]:
    """Return the only item of the list."""
    (item,) = (await call(bench)).json()["items"]
    found: dict[str, Any] = item
    return found


async def test_list_shows_reason_without_payload(bench: Bench, database: TestDatabase) -> None:
    other = await ok_page(bench, database)
    for number in range(3):
        await put_aside(bench, EVENT, f"reason {number}")
    await put_aside(bench, MESSAGE, "reason 3", other)
    first = await call(bench, "?limit=3")
    assert "автобус" not in first.text
    second = await call(bench, f"?limit=3&cursor={first.json()['next_cursor']}")
    items = first.json()["items"] + second.json()["items"]
    assert [item["reason"] for item in items] == ["reason 3", "reason 2", "reason 1", "reason 0"]
    assert (items[1]["network"], items[1]["source_kind"], items[1]["page_id"]) == (
        "vk",
        "test",
        str(bench.page.id),
    )
    of_ok = (await call(bench, "?network=ok")).json()["items"]
    of_page = (await call(bench, f"?page_id={other.id}")).json()["items"]
    assert [item["reason"] for item in of_ok] == [item["reason"] for item in of_page] == ["reason 3"]


async def test_payload_requires_source_right(bench: Bench) -> None:
    await put_aside(bench, {**EVENT, "more": "\x00"})
    item = await the_only(bench)
    shown = await call(bench, f"/{item['id']}")
    assert shown.json()["raw"] == {**EVENT, "more": "\x00"}
    assert (await call(bench, f"/{item['id']}", role="head")).status_code == 403
    own = bench.ingest.headers("executor", bench.page.organisation_id)
    listed = await bench.ingest.client.get("/api/v1/sources/quarantine", headers=own)
    assert [one["id"] for one in listed.json()["items"]] == [item["id"]]
    hidden = await bench.ingest.client.get(f"/api/v1/sources/quarantine/{item['id']}", headers=own)
    assert hidden.status_code == 403
    assert (await call(bench, f"/{uuid4()}")).status_code == 404


async def test_organisation_does_not_see_quarantine_of_others(bench: Bench, database: TestDatabase) -> None:
    await put_aside(bench, MESSAGE, page=await ok_page(bench, database))
    own = bench.ingest.headers("executor", bench.page.organisation_id)
    listed = await bench.ingest.client.get("/api/v1/sources/quarantine", headers=own)
    assert listed.json()["items"] == []


@pytest.mark.parametrize("raw", [EVENT, MESSAGE], ids=["vk", "ok"])
async def test_retry_stores_payload_that_parses_now(
    bench: Bench, database: TestDatabase, raw: dict[str, Any]
) -> None:
    await put_aside(bench, raw, page=await ok_page(bench, database) if raw is MESSAGE else None)
    item = await the_only(bench)
    read = await call(bench, f"/{item['id']}/retry", method="POST")
    assert (read.status_code, read.json()["new"]) == (200, 1), read.text
    assert await bench.eye.fetchval("SELECT text FROM messages") == "Где автобус?"
    assert await bench.events() == ["message.received"]
    assert (await call(bench)).json()["items"] == []
    assert (await call(bench, f"/{item['id']}/retry", method="POST")).status_code == 404


async def test_retry_keeps_payload_that_still_fails(bench: Bench) -> None:
    await put_aside(bench, BROKEN)
    item = await the_only(bench)
    refused = await call(bench, f"/{item['id']}/retry", method="POST")
    assert refused.status_code == 409
    assert "'id' is missing" in refused.json()["detail"]
    assert (await the_only(bench))["id"] == item["id"]
    assert (await call(bench, f"/{item['id']}/retry", method="POST", role="head")).status_code == 403
