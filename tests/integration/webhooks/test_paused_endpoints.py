"""Paused endpoints: deliveries wait, are sent after the pause, and fail after 30 days."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.webhooks.endpoints import pending_deliveries
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.eventually import eventually

ENDPOINTS = "/api/v1/webhooks/endpoints"
TERM = timedelta(days=30)


async def pause(harness: WebhooksHarness, endpoint: dict[str, Any], *, paused: bool = True) -> dict[str, Any]:
    answer = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"paused": paused},
        headers=harness.headers("moderator", **{"If-Match": "*"}),
    )
    assert (answer.status_code, answer.json()["paused"]) == (200, paused), answer.text
    found: dict[str, Any] = answer.json()
    return found


def numbers(receiver: Receiver) -> list[int]:
    return [request.json["data"]["number"] for request in receiver.received]


async def test_deliveries_wait_and_are_claimed_in_due_order_after_the_pause(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    other = await harness.endpoint(f"{receiver.url}?other", "appeal.answered")
    assert endpoint["paused"] is False
    await harness.emit(number=1)
    await harness.fan_out()
    await pause(harness, endpoint)
    await harness.emit(number=2)
    await harness.emit("appeal.answered", number=9)
    await harness.emit(number=3)
    await harness.fan_out()
    # Deliveries of the first endpoint are due, and only the other's are sent.
    await harness.deliver()
    assert numbers(receiver) == [9]
    waiting = await harness.deliveries(endpoint_id=endpoint["id"], status="pending")
    assert (len(waiting), len(await harness.deliveries(endpoint_id=other["id"]))) == (3, 1)
    await harness.sql(
        """UPDATE webhook_deliveries SET next_attempt_at = now() - make_interval(secs => (data->>'number')::int)
        FROM events WHERE events.id = event_id AND webhook_deliveries.status = 'pending'"""
    )
    await pause(harness, endpoint, paused=False)
    dispatcher = harness.dispatcher()
    claims = [claim for _ in range(3) for claim in await dispatcher.claim(1)]
    assert [claim.payload["data"]["number"] for claim in claims] == [3, 2, 1]


async def test_worker_does_not_look_for_deliveries_of_a_paused_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    dispatcher = harness.dispatcher()
    assert await dispatcher._is_any_due()
    await pause(harness, endpoint)
    assert not await dispatcher._is_any_due()


async def test_paused_endpoint_refuses_a_test_and_keeps_a_retry_waiting(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit(number=1)
    await harness.fan_out()
    await harness.deliver()
    await pause(harness, endpoint)
    headers = harness.headers("moderator")
    refused = await harness.app.client.post(f"{ENDPOINTS}/{endpoint['id']}/test", headers=headers)
    assert (refused.status_code, "paused" in refused.json()["detail"]) == (409, True)
    [delivery] = await harness.deliveries()
    again = await harness.app.client.post(f"/api/v1/webhooks/deliveries/{delivery['id']}/retry", headers=headers)
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert await harness.deliver() == []
    await pause(harness, endpoint, paused=False)
    await harness.deliver()
    assert numbers(receiver) == [1, 1]


async def test_deactivation_of_a_paused_endpoint_fails_its_waiting_deliveries(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    await pause(harness, endpoint)
    await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"active": False},
        headers=harness.headers("moderator", **{"If-Match": "*"}),
    )
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["last_error"]) == ("failed", "the endpoint was deactivated")


async def test_time_of_a_pause_does_not_count_as_failing(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [500, 500]
    await harness.deliver()
    await harness.sql("UPDATE webhook_endpoint_health SET failing_since = now() - interval '6 days'")
    await pause(harness, endpoint)
    await pause(harness, endpoint, paused=False)
    await harness.make_due()
    await harness.deliver()
    path = f"{ENDPOINTS}/{endpoint['id']}"
    shown = (await harness.app.client.get(path, headers=harness.headers("moderator"))).json()
    assert (shown["active"], shown["health"]["consecutive_failures"]) == (True, 1)


async def test_delivery_that_waited_for_the_whole_retention_period_fails_and_can_be_replayed(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_deliveries, "HELD_BATCH", 1)
    endpoint = await harness.endpoint(receiver.url)
    await harness.endpoint(f"{receiver.url}?running")
    for number in range(3):
        await harness.emit(number=number)
    await harness.fan_out()
    await pause(harness, endpoint)
    await harness.sql(
        """UPDATE webhook_deliveries SET next_attempt_at = now() - interval '31 days' FROM events
        WHERE events.id = event_id AND data->>'number' <> '2'"""
    )
    assert await pending_deliveries.fail_held(harness.database, TERM) == 2
    assert await pending_deliveries.fail_held(harness.database, TERM) == 0
    failed = await harness.deliveries(status="failed")
    assert {(row["endpoint_id"], row["last_error"]) for row in failed} == {
        (endpoint["id"], "the endpoint was paused or not verified for 30 days")
    }
    await pause(harness, endpoint, paused=False)
    replayed = await harness.app.client.post(
        f"{ENDPOINTS}/{endpoint['id']}/replay",
        json={"what": "failed", "since": "2020-01-01T00:00:00Z"},
        headers=harness.headers("moderator"),
    )
    assert replayed.json()["queued"] == 2


async def test_endpoint_that_is_resumed_meanwhile_keeps_its_deliveries(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    await pause(harness, endpoint)
    await harness.sql("UPDATE webhook_deliveries SET next_attempt_at = now() - interval '31 days'")
    resuming = await harness.test_database.connect()
    transaction = resuming.transaction()
    await transaction.start()
    await resuming.execute("UPDATE webhook_endpoints SET paused = false")
    failing = asyncio.create_task(pending_deliveries.fail_held(harness.database, TERM))

    async def waits_or_ended() -> bool:
        rows = await harness.sql("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return failing.done() or len(rows) > 0

    try:
        await eventually(waits_or_ended, "the lock of the endpoint")
    finally:
        await transaction.commit()
        await resuming.close()
    assert await failing == 0
    await harness.deliver()
    assert len(receiver.received) == 1
