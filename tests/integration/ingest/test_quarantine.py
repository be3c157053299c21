"""Quarantined payloads: listing, access and parsing again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.ingest.networks.port import PageRef, UnparsedPayload
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import MOMENT, IngestHarness, build_harness
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
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[IngestHarness]:
    """Ingest without workers."""
    async with build_harness(database, keys_dir) as made:
        yield made


async def ok_page(harness: IngestHarness, database: TestDatabase) -> PageRef:
    """Register a page of another network and organisation."""
    organisation = await insert_organisation(database, name="Больница")
    page_id = await insert_page(database, organisation, network="ok", external_id="202")
    return PageRef(id=page_id, organisation_id=organisation, network="ok", external_id="202", go_live_at=MOMENT)


async def quarantine(
    harness: IngestHarness, raw: Any, reason: str = "a riddle", page: PageRef | None = None
) -> None:
    """Quarantine a payload as the intake does if it cannot be parsed."""
    await harness.take(page=page, unreadable=[UnparsedPayload(reason, raw)])


async def call(harness: IngestHarness, path: str = "", *, method: str = "GET", role: str = "operations") -> Any:
    """Send a request under `/sources/quarantine`; return the response."""
    return await harness.ingest.client.request(
        method, f"/api/v1/sources/quarantine{path}", headers=harness.ingest.headers(role)
    )


async def the_only(harness: IngestHarness) -> dict[str, Any]:
    """Return the only quarantined payload in the list."""
    (item,) = (await call(harness)).json()["items"]
    found: dict[str, Any] = item
    return found


async def test_list_shows_reason_without_payload(harness: IngestHarness, database: TestDatabase) -> None:
    other = await ok_page(harness, database)
    for number in range(3):
        await quarantine(harness, EVENT, f"reason {number}")
    await quarantine(harness, MESSAGE, "reason 3", other)
    first = await call(harness, "?limit=3")
    assert "автобус" not in first.text
    second = await call(harness, f"?limit=3&cursor={first.json()['next_cursor']}")
    items = first.json()["items"] + second.json()["items"]
    assert [item["reason"] for item in items] == ["reason 3", "reason 2", "reason 1", "reason 0"]
    assert (items[1]["network"], items[1]["source_kind"], items[1]["page_id"]) == (
        "vk",
        "test",
        str(harness.page.id),
    )
    of_ok = (await call(harness, "?network=ok")).json()["items"]
    of_page = (await call(harness, f"?page_id={other.id}")).json()["items"]
    assert [item["reason"] for item in of_ok] == [item["reason"] for item in of_page] == ["reason 3"]


async def test_payload_is_refused_without_the_right_to_inspect_sources(harness: IngestHarness) -> None:
    await quarantine(harness, {**EVENT, "more": "\x00"})
    item = await the_only(harness)
    shown = await call(harness, f"/{item['id']}")
    assert shown.json()["raw"] == {**EVENT, "more": "\x00"}
    assert (await call(harness, f"/{item['id']}", role="head")).status_code == 403
    own = harness.ingest.headers("executor", harness.page.organisation_id)
    listed = await harness.ingest.client.get("/api/v1/sources/quarantine", headers=own)
    assert [one["id"] for one in listed.json()["items"]] == [item["id"]]
    hidden = await harness.ingest.client.get(f"/api/v1/sources/quarantine/{item['id']}", headers=own)
    assert hidden.status_code == 403
    assert (await call(harness, f"/{uuid4()}")).status_code == 404


async def test_organisation_does_not_see_quarantine_of_other_organisations(
    harness: IngestHarness, database: TestDatabase
) -> None:
    await quarantine(harness, MESSAGE, page=await ok_page(harness, database))
    own = harness.ingest.headers("executor", harness.page.organisation_id)
    listed = await harness.ingest.client.get("/api/v1/sources/quarantine", headers=own)
    assert listed.json()["items"] == []


@pytest.mark.parametrize("raw", [EVENT, MESSAGE], ids=["vk", "ok"])
async def test_retry_stores_payload_that_parses_now(
    harness: IngestHarness, database: TestDatabase, raw: dict[str, Any]
) -> None:
    await quarantine(harness, raw, page=await ok_page(harness, database) if raw is MESSAGE else None)
    item = await the_only(harness)
    read = await call(harness, f"/{item['id']}/retry", method="POST")
    assert (read.status_code, read.json()["new"]) == (200, 1), read.text
    assert await harness.raw_connection.fetchval("SELECT text FROM messages") == "Где автобус?"
    assert await harness.events() == ["message.received"]
    assert (await call(harness)).json()["items"] == []
    assert (await call(harness, f"/{item['id']}/retry", method="POST")).status_code == 404


async def test_retry_keeps_payload_that_still_fails(harness: IngestHarness) -> None:
    await quarantine(harness, BROKEN)
    item = await the_only(harness)
    refused = await call(harness, f"/{item['id']}/retry", method="POST")
    assert refused.status_code == 409
    assert "'id' is missing" in refused.json()["detail"]
    assert (await the_only(harness))["id"] == item["id"]
    assert (await call(harness, f"/{item['id']}/retry", method="POST", role="head")).status_code == 403
