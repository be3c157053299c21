"""Limits of an endpoint, kept by all workers together; order and limits in the API."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.webhooks.deliveries.attempts import ClaimedDelivery
from services.webhooks.endpoints.claim_turns import FURTHEST_SECONDS, MARGIN
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness

ENDPOINTS = "/api/v1/webhooks/endpoints"
RATE = 10


async def limited(harness: WebhooksHarness, receiver: Receiver, events: int, **limits: Any) -> dict[str, Any]:
    """Return an endpoint with these limits and this many due deliveries."""
    endpoint = await harness.endpoint(receiver.url, **limits)
    await harness.emit_all([("appeal.opened", None)] * events)
    await harness.fan_out()
    return endpoint


async def database_time(harness: WebhooksHarness) -> Any:
    [row] = await harness.sql("SELECT clock_timestamp() AS now")
    return row["now"]


async def next_send_at(harness: WebhooksHarness) -> Any:
    [row] = await harness.sql("SELECT next_send_at FROM webhook_claim_turns")
    return row["next_send_at"]


async def test_claim_takes_the_requests_of_one_second_evenly_spaced(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await limited(harness, receiver, 30, max_per_second=RATE)
    claims = await harness.dispatcher().claim(100)
    assert len(claims) == RATE
    times = sorted(claim.send_at for claim in claims)
    assert [round(time - times[0], 3) for time in times] == [round(n * MARGIN / RATE, 3) for n in range(RATE)]


async def test_all_workers_together_keep_the_rate(harness: WebhooksHarness, receiver: Receiver) -> None:
    await limited(harness, receiver, 60, max_per_second=RATE)
    start = await database_time(harness)
    claims: list[ClaimedDelivery] = []
    for _ in range(2):
        for found in await asyncio.gather(*(harness.dispatcher().claim(100) for _ in range(3))):
            claims += found
    assert RATE <= len(claims) < 60
    # However long the claims took, each claim has a separate turn, which no other worker has.
    taken = (await next_send_at(harness) - start).total_seconds()
    assert taken >= len(claims) * MARGIN / RATE - 0.001


async def test_later_claims_wait_until_turns_are_free(harness: WebhooksHarness, receiver: Receiver) -> None:
    await limited(harness, receiver, 30, max_per_second=RATE)
    dispatcher = harness.dispatcher()
    await harness.sql(
        "UPDATE webhook_claim_turns SET next_send_at = clock_timestamp() + make_interval(secs => $1)",
        FURTHEST_SECONDS - 5,
    )
    assert await dispatcher.claim(100) == []
    # A turn in half an hour: the database's clock was set back, so the turn is ignored.
    await harness.sql("UPDATE webhook_claim_turns SET next_send_at = clock_timestamp() + interval '30 minutes'")
    assert len(await dispatcher.claim(100)) == RATE


async def test_request_is_sent_at_its_turn(harness: WebhooksHarness, receiver: Receiver) -> None:
    await limited(harness, receiver, 3, max_per_second=RATE)
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        claims = await dispatcher.claim(100)
        results = await asyncio.gather(*(dispatcher.attempt(http, claim) for claim in claims))
        begun = sorted(result.started_at for result in results)
        ended = asyncio.get_running_loop().time()
    assert len(receiver.received) == 3
    assert (begun[2] - begun[0]).total_seconds() > MARGIN / RATE
    assert ended >= max(claim.send_at for claim in claims)


async def test_all_workers_together_keep_the_number_of_concurrent_requests(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await limited(harness, receiver, 20, max_concurrency=3)
    workers = [harness.dispatcher() for _ in range(4)]
    found = await asyncio.gather(*(worker.claim(100) for worker in workers))
    claims = [claim for of_worker in found for claim in of_worker]
    assert len(claims) == 3
    async with workers[0].client() as http:
        receiver.statuses = [500]
        await workers[0].record([await workers[0].attempt(http, claims[0])])
        # A delivery that awaits a retry is not under way.
        assert len(await workers[1].claim(100)) == 1
        await workers[0].record([await workers[0].attempt(http, claim) for claim in claims[1:]])
    assert len(await workers[2].claim(100)) == 2
    # The leases of killed workers end.
    await harness.make_due()
    assert len(await workers[3].claim(100)) == 3


async def test_limited_endpoint_delays_no_other(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await limited(harness, receiver, 20, max_concurrency=1, max_per_second=1)
    other = await harness.endpoint(receiver.url, "appeal.answered")
    await harness.emit_all([("appeal.answered", None)] * 5)
    await harness.fan_out()
    found = [str(claim.endpoint_id) for claim in await harness.dispatcher().claim(100)]
    assert (found.count(endpoint["id"]), found.count(other["id"])) == (1, 5)


async def test_endpoint_whose_turn_is_taken_is_skipped(harness: WebhooksHarness, receiver: Receiver) -> None:
    await limited(harness, receiver, 2, max_concurrency=10)
    connection = await harness.test_database.connect()
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM webhook_claim_turns FOR UPDATE")
            assert await harness.dispatcher().claim(100) == []
    finally:
        await connection.close()
    assert len(await harness.dispatcher().claim(100)) == 2


async def test_order_and_limits_are_set_changed_and_shown(harness: WebhooksHarness, receiver: Receiver) -> None:
    fields: dict[str, Any] = {"ordered": True, "max_per_second": 1000, "max_concurrency": 64}
    made = await harness.endpoint(receiver.url, **fields)
    assert {name: made[name] for name in fields} == fields
    path, headers = f"{ENDPOINTS}/{made['id']}", harness.headers("moderator")
    shown = (await harness.app.client.get(path, headers=headers)).json()
    assert {name: shown[name] for name in fields} == fields
    changed = await harness.app.client.patch(
        path, json={"max_per_second": None, "max_concurrency": 1}, headers=headers | {"If-Match": '"1"'}
    )
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"'), changed.text
    assert {name: changed.json()[name] for name in fields} == fields | {
        "max_per_second": None, "max_concurrency": 1,
    }  # fmt: skip
    plain = await harness.endpoint(receiver.url)
    assert {name: plain[name] for name in fields} == {
        "ordered": False, "max_per_second": None, "max_concurrency": None,
    }  # fmt: skip
    audited = await harness.sql(
        "SELECT after::text AS after FROM audit WHERE subject_id = $1 AND action = 'update_webhook_endpoint'",
        made["id"],
    )
    assert '"max_concurrency": 1' in audited[0]["after"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ordered", "perhaps"),
        ("ordered", None),
        ("max_per_second", 0),
        ("max_per_second", 1001),
        ("max_per_second", 2.5),
        ("max_per_second", "many"),
        ("max_concurrency", 0),
        ("max_concurrency", 65),
        ("max_concurrency", 2**40),
    ],
)
async def test_invalid_order_or_limit_is_refused_naming_the_field(
    harness: WebhooksHarness, receiver: Receiver, field: str, value: object
) -> None:
    made = await harness.endpoint(receiver.url)
    headers = harness.headers("moderator")
    body = {"url": receiver.url, "event_types": ["appeal.opened"], field: value}
    for answer in (
        await harness.app.client.post(ENDPOINTS, json=body, headers=headers),
        await harness.app.client.patch(
            f"{ENDPOINTS}/{made['id']}", json={field: value}, headers=headers | {"If-Match": '"1"'}
        ),
    ):
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]
    [row] = await harness.sql("SELECT id, version FROM webhook_endpoints")
    assert (row["id"], row["version"]) == (UUID(made["id"]), 1)
