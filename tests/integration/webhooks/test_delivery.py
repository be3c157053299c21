"""From a committed event to a verified delivery, despite failures, replays and killed workers."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from uuid import UUID

import pytest
import standardwebhooks
import svix

from services.webhooks.deliveries.dispatcher import FAILING_ENDPOINT_CONCURRENCY
from services.webhooks.deliveries.fanout import fan_out
from services.webhooks.deliveries.retry_schedule import JITTER, RETRY_DELAYS
from shared.events.consumer import Consumer
from shared.tables.common import Event
from shared.tables.webhooks import WebhooksConsumerOffset
from tests.conftest import TestDatabase
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness, silent_server
from tests.support.eventually import HANG_SECONDS, eventually_true
from tests.support.service_under_test import insert_organisation, service_under_test

OPENED = "appeal.opened"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_event_is_delivered_with_signature(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа № 1")
    endpoint = await harness.endpoint(receiver.url, "appeal.opened", "appeal.answered")
    appeal_id = await harness.emit("appeal.opened", school, number=7, url="https://vk.com/wall-1_2")
    await harness.fan_out()
    await harness.deliver()
    [request] = receiver.received
    standardwebhooks.Webhook(endpoint["secret"]).verify(request.body, request.headers)
    svix.Webhook(endpoint["secret"]).verify(request.body, request.headers)
    assert request.headers["content-type"] == "application/json"
    assert list(request.json) == ["type", "timestamp", "id", "position", "sequence", "data"]
    assert request.json["position"] == f"0.{request.json['sequence']}"
    assert request.json["type"] == "appeal.opened"
    data = request.json["data"]
    assert data["organisation"] == {"id": str(school), "name": "Школа № 1"}
    assert (data["id"], data["number"], data["status"]) == (str(appeal_id), 7, "assigned")
    assert (data["network"], data["url"]) == ("vk", "https://vk.com/wall-1_2")
    assert data.keys().isdisjoint({"organisation_id", "page_id", "text"})
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("delivered", 1, 200)
    assert delivery["event_id"] == request.id == request.json["id"]
    assert delivery["delivered_at"] is not None
    assert delivery["next_attempt_at"] is None
    assert await harness.deliver() == []


async def test_attempts_keep_the_id_and_get_new_signatures(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [500, 301, 429]
    receiver.headers = {"Location": receiver.url}
    now = datetime.now(UTC)
    for attempt in range(4):
        # The timestamp in the header has a resolution of one second.
        at = mock.Mock(**{"now.return_value": now + timedelta(seconds=attempt)})
        with mock.patch("services.webhooks.endpoints.signing.datetime", at):
            await harness.deliver()
        await harness.make_due()
    assert len(receiver.received) == 4
    assert len({request.id for request in receiver.received}) == 1
    assert len({request.headers["webhook-timestamp"] for request in receiver.received}) == 4
    assert len({request.headers["webhook-signature"] for request in receiver.received}) == 4
    for request in receiver.received:
        svix.Webhook(endpoint["secret"]).verify(request.body, request.headers)
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 4)


async def test_delivery_fails_after_the_published_schedule(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [503] * 20
    receiver.body = "try\x00 later" + "!" * 5000
    for pause in RETRY_DELAYS:
        before = await harness.database_now()
        await harness.deliver()
        after = await harness.database_now()
        [delivery] = await harness.deliveries()
        assert delivery["status"] == "pending"
        due = moment(delivery["next_attempt_at"])
        assert before + pause <= due <= after + pause * (1 + JITTER)
        # Not checked after the first pause, which is short: this machine may be slow.
        assert pause == RETRY_DELAYS[0] or await harness.deliver() == []
        await harness.make_due()
    await harness.deliver()
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("failed", len(RETRY_DELAYS) + 1)
    assert delivery["last_error"].startswith("HTTP 503: try  later!!!")
    assert len(delivery["last_error"]) < 250
    await harness.make_due()
    assert await harness.deliver() == []

    receiver.statuses = []
    again = await harness.app.client.post(
        f"/api/v1/webhooks/deliveries/{delivery['id']}/retry", headers=harness.headers("moderator")
    )
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    await harness.deliver()
    [delivery] = await harness.deliveries(status="delivered")
    assert delivery["attempts"] == 1
    assert {request.id for request in receiver.received} == {delivery["event_id"]}


@pytest.mark.parametrize(("status", "followed"), [(429, True), (503, True), (500, False)])
async def test_retry_after_is_respected_only_with_status_429_or_503(
    harness: WebhooksHarness, receiver: Receiver, *, status: int, followed: bool
) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [status]
    receiver.headers = {"Retry-After": "7200"}
    before = await harness.database_now()
    await harness.deliver()
    [delivery] = await harness.deliveries()
    waits = moment(delivery["next_attempt_at"]) - before
    assert (delivery["status"], waits >= timedelta(hours=2), waits < timedelta(hours=1)) == (
        "pending", followed, not followed,
    )  # fmt: skip


async def test_deliveries_are_filtered_by_time(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.endpoint(receiver.url)
    for _ in range(3):
        await harness.emit()
    await harness.fan_out()
    for day, delivery in enumerate(await harness.deliveries(), 1):
        await harness.sql(
            f"UPDATE webhook_deliveries SET created_at = '2026-11-0{day}T00:00:00Z' WHERE id = '{delivery['id']}'"
        )
    one, two, three = ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z")

    async def days(**query: str) -> list[str]:
        return [delivery["created_at"] for delivery in await harness.deliveries(**query)]

    assert await days() == [three, two, one]
    assert await days(created_from=two) == [three, two]
    assert await days(created_to=two) == [one]
    assert await days(created_from=two, created_to=three) == [two]
    refused = await harness.app.client.get(
        "/api/v1/webhooks/deliveries",
        params={"created_from": "0001-01-01T00:00:00+14:00"},
        headers=harness.headers("moderator"),
    )
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "query/created_from")


async def test_response_410_deactivates_the_endpoint(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for _ in range(3):
        await harness.emit()
    await harness.fan_out()
    receiver.statuses = [410]
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        [claim] = await dispatcher.claim(1)
        await dispatcher.record([await dispatcher.attempt(http, claim)])
    deliveries = await harness.deliveries()
    assert [delivery["status"] for delivery in deliveries] == ["failed"] * 3
    assert all("410" in delivery["last_error"] for delivery in deliveries)
    path = f"/api/v1/webhooks/endpoints/{endpoint['id']}"
    headers = harness.headers("moderator")
    assert (await harness.app.client.get(path, headers=headers)).json()["active"] is False
    await harness.emit()
    await harness.fan_out()
    assert len(await harness.deliveries()) == 3
    refused = await harness.app.client.post(
        f"/api/v1/webhooks/deliveries/{deliveries[0]['id']}/retry", headers=headers
    )
    assert refused.status_code == 409


async def test_redirect_is_not_followed(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [302]
    receiver.headers = {"Location": receiver.url + "?inside"}
    await harness.deliver()
    assert len(receiver.received) == 1
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["response_status"]) == ("pending", 302)


async def test_silent_receiver_times_out(harness: WebhooksHarness) -> None:
    async with silent_server() as silent:
        await harness.endpoint(silent.url)
        await harness.emit()
        await harness.fan_out()
        [outcome] = await harness.deliver(webhooks_timeout_seconds=0.3)
    assert outcome.error == "no answer within 0.3 s"


async def test_silent_receiver_does_not_delay_other_endpoints(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    async def attempts() -> int:
        query = "SELECT 1 FROM webhook_deliveries WHERE last_attempt_at IS NOT NULL AND event_type = $1"
        return len(await harness.sql(query, OPENED))

    async def received(count: int) -> None:
        """Emit an event for the other endpoint and wait for its delivery, so that the dispatcher claims again."""
        await harness.emit("appeal.answered")
        await harness.fan_out()
        await eventually_true(lambda: len(receiver.received) == count, "the other delivery")

    async with silent_server() as silent:
        await harness.endpoint(silent.url, OPENED)
        await harness.endpoint(receiver.url, "appeal.answered")
        for _ in range(40):
            await harness.emit(OPENED)
        await harness.fan_out()
        # No attempt to deliver to the silent receiver times out before the end of the test.
        dispatcher = harness.dispatcher(webhooks_concurrency=16, webhooks_timeout_seconds=600)
        running = asyncio.create_task(dispatcher.run())
        try:
            await eventually_true(lambda: len(silent.connections) == 8, "half of all attempts")
            await received(1)
            assert (len(silent.connections), await attempts()) == (
                8,
                8,
            )  # half of the 16 concurrent attempts, although 40 are due
            silent.hang_up()
            expected = 8 + FAILING_ENDPOINT_CONCURRENCY
            await eventually_true(lambda: len(silent.connections) >= expected, "attempts after failures")
            await received(2)
            assert (len(silent.connections), await attempts()) == (expected, expected)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_slow_receivers_of_one_organisation_take_at_most_a_quarter_of_the_attempts(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    ours, theirs = [await insert_organisation(harness.test_database, name=name) for name in ("Школа", "Больница")]
    slow = [
        await harness.endpoint(f"{receiver.url}?{name}", OPENED, organisation_id=ours, role="manager")
        for name in "abc"
    ]
    await harness.endpoint(f"{receiver.url}?other", OPENED, organisation_id=theirs, role="manager")
    for _ in range(10):
        await harness.emit(OPENED, ours)
    await harness.emit(OPENED, theirs)
    await harness.fan_out()
    dispatcher = harness.dispatcher(webhooks_concurrency=16)
    claims = await dispatcher.claim(16)
    assert Counter(str(claim.organisation_id) for claim in claims) == {str(ours): 4, str(theirs): 1}
    # While none of them answers, only the next event of the other organisation is claimed.
    in_flight = Counter(claim.endpoint_id for claim in claims)
    assert sum(in_flight[UUID(endpoint["id"])] for endpoint in slow) == 4
    await harness.emit(OPENED, theirs)
    await harness.fan_out()
    claims = await dispatcher.claim(11, in_flight)
    assert [claim.organisation_id for claim in claims] == [theirs]


async def test_slow_receiver_leaves_attempts_to_other_endpoints_of_its_organisation(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    ours = await insert_organisation(harness.test_database, name="Школа")
    slow, fast = [
        await harness.endpoint(f"{receiver.url}?{kind}", kind, organisation_id=ours, role="manager")
        for kind in (OPENED, "appeal.answered")
    ]
    for _ in range(10):
        await harness.emit(OPENED, ours)
    await harness.emit("appeal.answered", ours)
    await harness.fan_out()
    dispatcher = harness.dispatcher(webhooks_concurrency=16)
    # The slow receiver has three of the four attempts of its organisation, and deliveries that were due earlier.
    in_flight = {UUID(slow["id"]): 3}
    claims = await dispatcher.claim(13, in_flight)
    assert [str(claim.endpoint_id) for claim in claims] == [fast["id"]]
    # Once the other endpoint has no due delivery, the slow receiver gets the fourth attempt.
    claims = await dispatcher.claim(13, in_flight)
    assert [str(claim.endpoint_id) for claim in claims] == [slow["id"]]


async def test_internal_address_is_refused_at_delivery(harness: WebhooksHarness, receiver: Receiver) -> None:
    """The network of the endpoint was allowed when it was saved, and no longer is."""
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    [outcome] = await harness.deliver(webhooks_allowed_networks=())
    assert outcome.error is not None
    assert "inside a network" in outcome.error
    assert receiver.received == []


async def test_replays_and_crashes_create_exactly_one_delivery(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoints = [await harness.endpoint(receiver.url) for _ in range(2)]
    for number in range(10):
        await harness.emit(number=number)

    async def dies(session: object, events: list[Event]) -> None:
        await fan_out(session, events)  # type: ignore[arg-type]
        raise ConnectionResetError("killed before the commit")

    dying = Consumer(harness.consumer.name, WebhooksConsumerOffset, harness.consumer.types, dies)  # type: ignore[arg-type]
    with pytest.raises(ConnectionResetError):
        await dying.process_batch(harness.database)
    assert await harness.deliveries() == []
    await asyncio.gather(*(harness.consumer.process_batch(harness.database, 3) for _ in range(4)))
    await harness.fan_out()
    await harness.sql("UPDATE webhooks_consumer_offsets SET position = 0")
    await harness.fan_out()
    rows = await harness.sql("SELECT endpoint_id, event_id FROM webhook_deliveries")
    assert len(rows) == len({tuple(row) for row in rows}) == 20
    assert {row["endpoint_id"] for row in rows} == {UUID(endpoint["id"]) for endpoint in endpoints}


async def test_delivery_whose_lease_ended_is_sent_again(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        [claim] = await dispatcher.claim(10)
        assert await dispatcher.claim(10) == []
        outcome = await dispatcher.attempt(http, claim)
        # The worker stalls after sending, before recording. Its lease ends and another worker sends again.
        await harness.make_due()
        [second] = await dispatcher.claim(10)
        # The first worker continues: its stale result changes nothing.
        await dispatcher.record([outcome])
        [delivery] = await harness.deliveries()
        assert (delivery["status"], delivery["attempts"]) == ("pending", 0)
        await dispatcher.record([await dispatcher.attempt(http, second)])
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
    assert [request.id for request in receiver.received] == [delivery["event_id"]] * 2


async def test_concurrent_workers_never_claim_the_same_delivery(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    for _ in range(30):
        await harness.emit()
    await harness.fan_out()
    workers = [harness.dispatcher() for _ in range(3)]
    claims = await asyncio.gather(*(worker.claim(10) for worker in workers))
    ids = [claim.id for found in claims for claim in found]
    assert len(ids) == len(set(ids)) == 30


async def test_endpoints_get_events_of_their_organisation_and_types(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    centre = await harness.endpoint(receiver.url, "appeal.opened", "appeal.answered")
    of_school = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    schools = await harness.emit("appeal.opened", school)
    clinics = await harness.emit("appeal.opened", clinic)
    nobodys = await harness.emit("appeal.opened", None)
    answered = await harness.emit("appeal.answered", school, on_time=True)
    await harness.emit("appeal.closed", school)
    await harness.emit("message.received", school)
    await harness.fan_out()
    rows = await harness.sql(
        "SELECT endpoint_id, subject_id FROM webhook_deliveries JOIN events ON events.id = event_id"
    )
    got: dict[str, set[UUID]] = {centre["id"]: set(), of_school["id"]: set()}
    for row in rows:
        got[str(row["endpoint_id"])].add(row["subject_id"])
    assert got == {centre["id"]: {schools, clinics, nobodys, answered}, of_school["id"]: {schools}}


async def test_running_service_delivers_an_event(
    database: TestDatabase, keys_dir: Path, receiver: Receiver
) -> None:
    async with service_under_test("webhooks", database, keys_dir, process="all") as app:
        harness = WebhooksHarness(app, database)
        await harness.endpoint(receiver.url)
        for number in range(100):
            await harness.emit(number=number)
        async with asyncio.timeout(HANG_SECONDS):
            while len(receiver.received) < 100 or await harness.deliveries(status="pending"):
                await asyncio.sleep(0.1)
        assert len({request.id for request in receiver.received}) == len(receiver.received) == 100
        assert {request.json["data"]["number"] for request in receiver.received} == set(range(100))
        ready = await app.client.get("/health/ready")
        assert ready.json()["status"] == "pass", ready.text
