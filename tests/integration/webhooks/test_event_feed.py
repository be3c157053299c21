"""The event feed: order, scope, filters, and that a reader misses no event."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.webhooks.api import events as api_events
from services.webhooks.feed import event_feed
from services.webhooks.stream.live_stream import CATCH_UP_READS
from shared.database.sessions import POOL_SIZES
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.eventually import eventually_true
from tests.support.sample_events import sample_data
from tests.support.service_under_test import insert_organisation


async def read(harness: WebhooksHarness, *, organisation_id: UUID | None = None, **query: Any) -> dict[str, Any]:
    role = "executor" if organisation_id else "moderator"
    answer = await harness.app.client.get(
        "/api/v1/events", params=query, headers=harness.headers(role, organisation_id)
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_events_are_paged_in_order(harness: WebhooksHarness) -> None:
    subjects = [str(await harness.emit(number=number)) for number in range(5)]
    seen: list[dict[str, Any]] = []
    after = "0"
    while (page := await read(harness, after=after, limit=2))["items"]:
        seen += page["items"]
        after = page["next_after"]
    assert [event["subject_id"] for event in seen] == subjects
    assert [event["position"] for event in seen] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert seen[3]["data"]["number"] == 3
    assert await read(harness, after=after) == {"items": [], "next_after": "0.5"}


async def test_unnumbered_event_is_not_listed(harness: WebhooksHarness) -> None:
    async with harness.database.write() as session:
        event = NewEvent(
            data=sample_data("appeal.opened"), subject_id=new_id(), organisation_id=None, actor="appeals"
        )
        await emit(session, event)
    assert await read(harness) == {"items": [], "next_after": "0.0"}
    second = await harness.emit()
    assert [event["subject_id"] for event in (await read(harness))["items"]][1] == str(second)


async def test_staff_see_only_events_of_their_organisation(harness: WebhooksHarness) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    own = await harness.emit("appeal.opened", school)
    await harness.emit("appeal.opened", clinic)
    await harness.emit("appeal.opened", None)
    page = await read(harness, organisation_id=school)
    assert [event["subject_id"] for event in page["items"]] == [str(own)]
    assert page["next_after"] == "0.3"
    assert (await read(harness, organisation_id=clinic, after=2))["items"] == []


@pytest.mark.parametrize("read_singly", [50, 1], ids=["few organisations", "many organisations"])
async def test_staff_who_see_subordinates_get_events_of_all_in_order(
    harness: WebhooksHarness, monkeypatch: pytest.MonkeyPatch, read_singly: int
) -> None:
    monkeypatch.setattr(event_feed, "MAX_READ_SINGLY", read_singly)
    monkeypatch.setattr(event_feed, "NEAR", read_singly)
    parent = await insert_organisation(harness.test_database, name="Управление")
    schools = [await insert_organisation(harness.test_database, parent=parent) for _ in range(2)]
    foreign = await insert_organisation(harness.test_database, name="Больница")
    for kind in ("appeal.opened", "message.received", "appeal.closed"):
        for organisation_id in (schools[0], foreign, parent, None, schools[1]):
            await harness.emit(kind, organisation_id)
    token = harness.app.token("executor", parent, include_subordinates=True)
    seen, after = list[tuple[str, str]](), "0"
    while True:
        query = {"after": after, "limit": "2", "types": "appeal.*"}
        answer = await harness.app.client.get(
            "/api/v1/events", params=query, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 200, answer.text
        seen += [(event["type"], event["organisation_id"]) for event in answer.json()["items"]]
        if not answer.json()["items"]:
            break
        after = answer.json()["next_after"]
    expected = [str(organisation_id) for organisation_id in (schools[0], parent, schools[1])]
    assert seen == [(kind, one) for kind in ("appeal.opened", "appeal.closed") for one in expected]
    assert after == "0.15"


async def test_parallel_readers_of_the_feed_leave_connections_for_other_requests(
    harness: WebhooksHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.emit()
    read_page, release = event_feed.read_events, asyncio.Event()
    reading, most_reading = 0, 0

    async def slowly(*arguments: Any, **options: Any) -> Any:
        nonlocal reading, most_reading
        reading += 1
        most_reading = max(most_reading, reading)
        page = await read_page(*arguments, **options)
        await release.wait()
        reading -= 1
        return page

    monkeypatch.setattr(event_feed, "read_events", slowly)
    readers = [asyncio.create_task(read(harness)) for _ in range(POOL_SIZES["webhooks"])]
    try:
        await eventually_true(lambda: reading >= CATCH_UP_READS)
        # Sent after the others, so it would wait for a connection behind them.
        listed = await harness.app.client.get("/api/v1/webhooks/deliveries", headers=harness.headers("operations"))
        assert listed.status_code == 200, listed.text
        monkeypatch.setattr(api_events, "READ_WAIT_SECONDS", 0.0)
        refused = await harness.app.client.get("/api/v1/events", headers=harness.headers("moderator"))
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
        assert int(refused.headers["Retry-After"]) > 0
    finally:
        release.set()
    assert {len(page["items"]) for page in await asyncio.gather(*readers)} == {1}
    assert most_reading == CATCH_UP_READS


async def test_feed_is_filtered_by_type(harness: WebhooksHarness) -> None:
    await harness.emit("appeal.opened")
    await harness.emit("appeal.answered")
    await harness.emit("message.received")
    page = await read(harness, types="appeal.answered, message.received", limit=1)
    assert ([event["type"] for event in page["items"]], page["next_after"]) == (["appeal.answered"], "0.2")
    page = await read(harness, types="appeal.answered,message.received", after=2)
    assert ([event["type"] for event in page["items"]], page["next_after"]) == (["message.received"], "0.3")
    assert await read(harness, types="appeal.closed") == {"items": [], "next_after": "0.3"}


async def test_pattern_selects_all_types_of_a_subject(harness: WebhooksHarness) -> None:
    for kind in ("appeal.opened", "message.received", "appeal.note_added", "reply.queued"):
        await harness.emit(kind)
    page = await read(harness, types="appeal.*")
    assert [event["type"] for event in page["items"]] == ["appeal.opened", "appeal.note_added"]
    page = await read(harness, types="appeal.*,reply.queued,appeal.opened")
    assert [event["type"] for event in page["items"]] == ["appeal.opened", "appeal.note_added", "reply.queued"]


async def test_pattern_that_names_a_type_without_its_right_is_refused(harness: WebhooksHarness) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    headers = harness.headers("executor", school)
    answer = await harness.app.client.get("/api/v1/events", params={"types": "client.*"}, headers=headers)
    assert answer.status_code == 403, answer.text
    assert answer.json()["errors"] == [
        {"pointer": "query/types", "detail": "«client.changed» needs the right «clients:read»"}
    ]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"after": "-1"}, "query/after"),
        ({"after": "first"}, "query/after"),
        ({"after": str(2**63)}, "query/after"),
        ({"limit": "0"}, "query/limit"),
        ({"limit": "1001"}, "query/limit"),
        ({"types": ""}, "query/types"),
        ({"types": "appeals.*"}, "query/types"),
        ({"types": "*"}, "query/types"),
        ({"types": "appeal.open*"}, "query/types"),
        ({"after": "1.2.3"}, "query/after"),
        ({"after": f"0.{2**32}"}, "query/after"),
        ({"after": ".3"}, "query/after"),
        ({"type": "appeal.opened"}, "query/type"),
    ],
)
async def test_invalid_parameter_is_refused_naming_the_field(
    harness: WebhooksHarness, query: dict[str, str], pointer: str
) -> None:
    answer = await harness.app.client.get("/api/v1/events", params=query, headers=harness.headers("moderator"))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_reader_whose_events_were_purged_gets_410_with_next_position(harness: WebhooksHarness) -> None:
    for _ in range(5):
        await harness.emit()
    connection = await harness.test_database.connect()
    await connection.execute("DELETE FROM events WHERE position <= 3")
    await connection.close()
    answer = await harness.app.client.get(
        "/api/v1/events", params={"after": 2}, headers=harness.headers("moderator", None)
    )
    assert answer.status_code == 410, answer.text
    assert "after=0.3" in answer.json()["detail"]
    for after in (0, 3):
        assert [event["position"] for event in (await read(harness, after=after))["items"]] == ["0.4", "0.5"]


async def test_repeated_types_parameters_are_combined(harness: WebhooksHarness) -> None:
    for kind in ("appeal.opened", "appeal.answered", "appeal.closed"):
        await harness.emit(kind)
    page = await read(harness, types=["appeal.opened", "appeal.answered"])
    assert [event["type"] for event in page["items"]] == ["appeal.opened", "appeal.answered"]


async def test_misspelt_type_is_refused_and_named(harness: WebhooksHarness) -> None:
    await harness.emit("appeal.opened")
    answer = await harness.app.client.get(
        "/api/v1/events", params={"types": "appeal.openned"}, headers=harness.headers("moderator")
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/types")
    assert "«appeal.openned»" in answer.json()["detail"]
    assert "appeal.opened, appeal.message_added" in answer.json()["detail"]


async def test_reader_that_starts_after_now_gets_all_later_events(harness: WebhooksHarness) -> None:
    await harness.emit()
    now = await read(harness, after="now")
    assert now == {"items": [], "next_after": "0.1"}
    later = await harness.emit()
    assert [event["subject_id"] for event in (await read(harness, after=now["next_after"]))["items"]] == [
        str(later)
    ]


async def test_reader_from_before_a_failover_misses_nothing(harness: WebhooksHarness) -> None:
    await harness.emit()
    # Events 0.2 and 0.3 were lost with the server; the new server numbers later events in a new epoch.
    later = await harness.emit()
    await harness.sql("UPDATE events SET position = $1 WHERE subject_id = $2", (1 << 32) + 1, later)
    page = await read(harness, after="0.3")
    assert [(event["position"], event["subject_id"]) for event in page["items"]] == [("1.1", str(later))]
    assert page["next_after"] == "1.1"


async def test_feed_and_webhook_use_the_same_event_id(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    await harness.deliver()
    [request], [event] = receiver.received, (await read(harness))["items"]
    assert request.id == request.json["id"] == event["id"]
    assert request.json["position"] == event["position"]
    assert await read(harness, after=request.json["position"]) == {"items": [], "next_after": event["position"]}


async def test_feed_omits_events_that_the_caller_may_not_read(harness: WebhooksHarness) -> None:
    await harness.emit("appeal.opened")
    page_id = await harness.emit("page.changed")
    await harness.emit("person.changed")
    token = harness.app.token("moderator", scope="events:read registry:read")
    narrowed = {"Authorization": f"Bearer {token}"}
    answer = await harness.app.client.get("/api/v1/events", headers=narrowed)
    assert [event["subject_id"] for event in answer.json()["items"]] == [str(page_id)]
    assert answer.json()["next_after"] == "0.3"
    refused = await harness.app.client.get("/api/v1/events?types=page.changed,appeal.opened", headers=narrowed)
    assert (refused.status_code, "appeals:read" in refused.json()["detail"]) == (403, True)
    auditor = await harness.app.client.get(
        "/api/v1/events?types=person.changed", headers=harness.headers("auditor")
    )
    assert len(auditor.json()["items"]) == 1
