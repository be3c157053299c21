"""Workers whose clocks are minutes fast or slow: leases and due times go by the database's clock alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest

from services.webhooks.deliveries.retry_schedule import JITTER, RETRY_DELAYS
from shared import clock
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness

SKEWS = pytest.mark.parametrize("skew", [timedelta(minutes=5), timedelta(minutes=-5)], ids=["fast", "slow"])
# Longer than a test takes on a slow machine, and much shorter than the skew.
TOLERANCE = timedelta(minutes=2)


@contextmanager
def worker_with(skew: timedelta) -> Iterator[None]:
    """Let this process be a worker whose clock is wrong."""
    with mock.patch("shared.clock.now", return_value=clock.now() + skew):
        yield


@SKEWS
@pytest.mark.parametrize("limits", [{}, {"ordered": True, "max_per_second": 100, "max_concurrency": 1}])
async def test_delivery_in_progress_is_not_claimed_by_a_worker_with_another_clock(
    harness: WebhooksHarness, receiver: Receiver, skew: timedelta, limits: dict[str, Any]
) -> None:
    await harness.endpoint(receiver.url, **limits)
    right, wrong = harness.dispatcher(), harness.dispatcher()
    await harness.emit()
    await harness.fan_out()
    [claim] = await right.claim(10)
    with worker_with(skew):
        assert await wrong.claim(10) == []
    async with right.client() as http:
        await right.record([await right.attempt(http, claim)])
    await harness.emit()
    await harness.fan_out()
    with worker_with(skew):
        [claim] = await wrong.claim(10)
    assert await right.claim(10) == []
    with worker_with(skew):
        async with wrong.client() as http:
            await wrong.record([await wrong.attempt(http, claim)])
    assert [row["status"] for row in await harness.deliveries()] == ["delivered"] * 2


@SKEWS
async def test_delivery_is_due_at_the_time_of_the_database(
    harness: WebhooksHarness, receiver: Receiver, skew: timedelta
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)

    async def due() -> list[datetime]:
        rows = await harness.sql(
            "SELECT next_attempt_at FROM webhook_deliveries WHERE status = 'pending' ORDER BY event_position"
        )
        return [row["next_attempt_at"] for row in rows]

    async def assert_due_after(pause: timedelta) -> None:
        [at] = await due()
        now = await harness.database_now()
        assert now + pause - TOLERANCE <= at <= now + pause * (1 + JITTER) + TOLERANCE

    subject = uuid4()
    with worker_with(skew):
        await harness.emit(subject_id=subject)
        await harness.fan_out()
        await assert_due_after(timedelta())
        receiver.statuses = [500, 500]
        await harness.deliver()
        await harness.sql("UPDATE webhook_deliveries SET next_attempt_at = now()")
        await harness.deliver()
        await assert_due_after(RETRY_DELAYS[1])
        [delivery] = await harness.deliveries()
        path = f"/api/v1/webhooks/deliveries/{delivery['id']}/retry"
        await harness.app.client.post(path, headers=harness.headers("moderator"))
        await assert_due_after(timedelta())
        # A delivery that waits for an earlier one of its subject becomes due when that one ends.
        await harness.emit(subject_id=subject)
        await harness.fan_out()
        await harness.deliver()
        await assert_due_after(timedelta())
        await harness.deliver()
        answer = await harness.app.client.post(
            f"/api/v1/webhooks/endpoints/{endpoint['id']}/replay",
            json={"what": "event", "event_id": delivery["event_id"]},
            headers=harness.headers("moderator"),
        )
        assert answer.json()["queued"] == 1
        await assert_due_after(timedelta())
        await harness.make_due()
        await harness.deliver()
        test = f"/api/v1/webhooks/endpoints/{endpoint['id']}/test"
        await harness.app.client.post(test, headers=harness.headers("moderator"))
        await assert_due_after(timedelta())
