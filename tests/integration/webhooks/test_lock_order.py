"""Transactions that change many deliveries lock them by id, so that no two wait for each other."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.eventually import eventually

ENDPOINTS = "/api/v1/webhooks/endpoints"


@pytest.mark.parametrize("request_", ["deactivate", "delete"])
async def test_deliveries_of_an_endpoint_are_locked_by_id(
    harness: WebhooksHarness, receiver: Receiver, request_: str
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for _ in range(20):
        await harness.emit()
    await harness.fan_out()
    first, *others = [row["id"] for row in await harness.sql("SELECT id FROM webhook_deliveries ORDER BY id")]
    # Every query plan finds the first delivery last: its row was written again, and its times are the latest.
    await harness.sql(
        """UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 day',
            created_at = now() + interval '1 day' WHERE id = $1""",
        first,
    )
    other = await harness.test_database.connect()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE", first)
    changing = asyncio.create_task(_send(harness, endpoint, request_))

    async def waits() -> bool:
        rows = await harness.sql("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return len(rows) > 0

    try:
        await eventually(waits, "the lock of the first delivery")
        # While it waits for the first delivery it holds no lock on the later ones: holding one could deadlock.
        free = await other.fetch(
            "SELECT id FROM webhook_deliveries WHERE id = ANY($1) FOR UPDATE SKIP LOCKED", others
        )
        assert sorted(row["id"] for row in free) == others
    finally:
        await transaction.rollback()
        await other.close()
        status = await changing
    assert status == (200 if request_ == "deactivate" else 204)
    left = await harness.sql("SELECT status FROM webhook_deliveries WHERE endpoint_id = $1", UUID(endpoint["id"]))
    assert {row["status"] for row in left} == ({"failed"} if request_ == "deactivate" else set())


async def _send(harness: WebhooksHarness, endpoint: dict[str, Any], request_: str) -> int:
    path, headers = f"{ENDPOINTS}/{endpoint['id']}", harness.headers("moderator", **{"If-Match": "*"})
    if request_ == "delete":
        return (await harness.app.client.delete(path, headers=headers)).status_code
    return (await harness.app.client.patch(path, json={"active": False}, headers=headers)).status_code
