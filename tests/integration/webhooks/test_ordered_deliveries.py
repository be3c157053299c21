"""An ordered endpoint gets the events of one subject one after another, despite failures, crashes and replays."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest

from services.webhooks.deliveries import dispatcher as dispatchers
from services.webhooks.deliveries.attempts import ClaimedDelivery
from services.webhooks.deliveries.retry_schedule import RETRY_DELAYS
from services.webhooks.endpoints import ordering, pending_deliveries
from shared.contracts.appeal_events import AlertRaised
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent
from shared.events.outbox import emit as emit_event
from shared.events.relay import number_committed_events
from tests.integration.data_growth.query_plans import MODES, explain
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.integration.webhooks.test_replay import numbers, replay
from tests.support.eventually import eventually

ENDPOINTS = "/api/v1/webhooks/endpoints"
ONE, TWO = UUID(int=1), UUID(int=2)


async def emit(harness: WebhooksHarness, *events: tuple[UUID, int]) -> None:
    """Write an event for each appeal and number, in this order, and make deliveries of them."""
    for subject, number in events:
        await harness.emit(subject_id=subject, number=number)
    await harness.fan_out()


async def rounds(harness: WebhooksHarness, receiver: Receiver, count: int) -> list[list[int]]:
    """Return what the receiver gets in each round, sorted."""
    found = []
    for _ in range(count):
        seen = len(receiver.received)
        await harness.deliver()
        found.append(sorted(numbers(receiver)[seen:]))
    return found


async def change(harness: WebhooksHarness, endpoint: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}", json=changes, headers=harness.headers("moderator", **{"If-Match": "*"})
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def raise_alert(harness: WebhooksHarness, **about: Any) -> None:
    unknown = dict.fromkeys(("appeal_id", "appeal_number", "incident_id", "incident_number"))
    data = AlertRaised(**unknown | about)
    async with harness.database.write() as session:
        await emit_event(session, NewEvent(data=data, subject_id=uuid4(), organisation_id=None, actor="appeals"))
    await number_committed_events(harness.database)


def claimed(claims: list[ClaimedDelivery]) -> list[int]:
    return sorted(claim.payload["data"]["number"] for claim in claims)


async def test_events_of_one_appeal_are_sent_one_after_another(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11), (TWO, 20), (ONE, 12), (TWO, 21))
    assert await rounds(harness, receiver, 4) == [[10, 20], [11, 21], [12], []]
    assert await harness.deliveries(status="pending") == []


async def test_unordered_endpoint_gets_all_events_concurrently(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    await emit(harness, (ONE, 10), (ONE, 11), (ONE, 12))
    assert await rounds(harness, receiver, 2) == [[10, 11, 12], []]


async def test_failed_delivery_is_retried_before_later_ones_of_its_appeal_only(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11), (ONE, 12))
    receiver.statuses = [500]
    assert await rounds(harness, receiver, 2) == [[10], []]
    await emit(harness, (TWO, 20), (TWO, 21))
    assert await rounds(harness, receiver, 3) == [[20], [21], []]
    receiver.statuses = [429]
    for expected in ([10], [10]):
        await harness.make_due()
        assert await rounds(harness, receiver, 1) == [expected]
    assert await rounds(harness, receiver, 3) == [[11], [12], []]


async def test_delivery_that_failed_for_good_does_not_hold_back_later_ones(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    assert claimed(await harness.dispatcher().claim(10)) == [10]
    await harness.sql(
        "UPDATE webhook_deliveries SET attempts = $1 WHERE last_attempt_at > 'epoch'", len(RETRY_DELAYS)
    )
    await harness.make_due()
    receiver.statuses = [500]
    assert await rounds(harness, receiver, 3) == [[10], [11], []]
    [failed] = await harness.deliveries(status="failed")
    assert failed["attempts"] == len(RETRY_DELAYS) + 1


async def test_delivery_that_may_not_be_sent_does_not_hold_back_later_ones(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    [claim] = await harness.dispatcher().claim(10)
    async with harness.database.write() as session:
        await pending_deliveries.fail_deliveries(session, {claim.id: "its owner lacks a right"})
    assert await rounds(harness, receiver, 2) == [[11], []]


async def test_waiting_delivery_is_shown_as_waiting(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    [claim] = await harness.dispatcher().claim(10)
    shown = {one["event_id"]: one for one in await harness.deliveries(status="pending")}
    first = shown.pop(str(claim.event_id))
    [second] = shown.values()
    assert (first["waits_for_earlier"], first["next_attempt_at"] is None) == (False, False)
    assert (second["waits_for_earlier"], second["next_attempt_at"], second["attempts"]) == (True, None, 0)


async def test_concurrent_workers_never_send_two_events_of_one_appeal_concurrently(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    subjects = [uuid4() for _ in range(3)]
    for number in range(12):
        await harness.emit(subject_id=subjects[number % 3], number=number)
    await harness.fan_out()
    workers = [harness.dispatcher() for _ in range(4)]
    under_way: dict[UUID, int] = {}
    ended: list[int] = []

    async def work(worker: dispatchers.Dispatcher) -> None:
        async with worker.client() as http:
            while len(ended) < 12:
                for claim in await worker.claim(10):
                    number = claim.payload["data"]["number"]
                    subject = subjects[number % 3]
                    assert subject not in under_way, f"{number} was claimed while {under_way[subject]} was sent"
                    under_way[subject] = number
                    result = await worker.attempt(http, claim)
                    ended.append(number)
                    # From here on another worker may claim the next one, before this coroutine continues.
                    del under_way[subject]
                    await worker.record([result])

    async with asyncio.timeout(120):
        await asyncio.gather(*map(work, workers))
    for place in range(3):
        assert [number for number in numbers(receiver) if number % 3 == place] == list(range(place, 12, 3))


async def test_delivery_whose_lease_ended_is_sent_again_before_later_ones(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    dying, other = harness.dispatcher(), harness.dispatcher()
    async with dying.client() as http:
        [claim] = await dying.claim(10)
        late = await dying.attempt(http, claim)
        assert await other.claim(10) == []
        await harness.make_due()
        [again] = await other.claim(10)
        assert again.id == claim.id
        # The stale result does not end the delivery, so the next one keeps waiting.
        await dying.record([late])
        assert await other.claim(10) == []
        await other.record([await other.attempt(http, again)])
    assert await rounds(harness, receiver, 2) == [[11], []]
    assert numbers(receiver) == [10, 10, 11]


async def test_replayed_events_are_sent_in_order_and_before_new_ones_of_their_appeal(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11), (ONE, 12))
    await rounds(harness, receiver, 3)
    assert (await replay(harness, endpoint))["queued"] == 3
    await harness.sql(
        "UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at + interval '1 hour'"
        " WHERE status = 'pending'"
    )
    await emit(harness, (ONE, 13), (TWO, 20))
    # The replayed deliveries are not due yet; the new event of their appeal waits for them, others do not.
    assert await rounds(harness, receiver, 1) == [[20]]
    await harness.make_due()
    assert await rounds(harness, receiver, 5) == [[10], [11], [12], [13], []]


async def test_retried_delivery_is_sent_after_those_sent_and_before_those_waiting(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    await rounds(harness, receiver, 2)
    first = await harness.sql("SELECT id FROM webhook_deliveries ORDER BY event_position LIMIT 1")
    await emit(harness, (ONE, 12))
    again = await harness.app.client.post(
        f"/api/v1/webhooks/deliveries/{first[0]['id']}/retry", headers=harness.headers("moderator")
    )
    assert again.status_code == 202, again.text
    assert await rounds(harness, receiver, 3) == [[10], [12], []]
    # A waiting delivery that is retried keeps waiting.
    await emit(harness, (ONE, 13), (ONE, 14))
    assert claimed(await harness.dispatcher().claim(10)) == [13]
    last = await harness.sql("SELECT id FROM webhook_deliveries ORDER BY event_position DESC LIMIT 1")
    again = await harness.app.client.post(
        f"/api/v1/webhooks/deliveries/{last[0]['id']}/retry", headers=harness.headers("moderator")
    )
    assert again.status_code == 202, again.text
    assert await rounds(harness, receiver, 1) == [[]]


async def test_waiting_deliveries_are_sent_when_the_endpoint_is_no_longer_ordered(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11), (ONE, 12))
    receiver.statuses = [500]
    assert await rounds(harness, receiver, 2) == [[10], []]
    assert (await change(harness, endpoint, ordered=False))["ordered"] is False
    assert await rounds(harness, receiver, 1) == [[11, 12]]
    await emit(harness, (ONE, 13), (ONE, 14))
    # The order also holds for deliveries that were pending before it was switched on.
    assert (await change(harness, endpoint, ordered=True))["ordered"] is True
    await harness.make_due()
    assert await rounds(harness, receiver, 4) == [[10], [13], [14], []]


async def test_deactivated_endpoint_keeps_its_order_when_it_is_replayed(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11), (ONE, 12))
    receiver.statuses = [500]
    await rounds(harness, receiver, 2)
    await change(harness, endpoint, active=False)
    assert len(await harness.deliveries(status="failed")) == 3
    await change(harness, endpoint, active=True)
    assert (await replay(harness, endpoint, what="failed"))["queued"] == 3
    await harness.make_due()
    assert await rounds(harness, receiver, 4) == [[10], [11], [12], []]


async def test_alert_is_ordered_with_the_events_of_its_appeal(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, "appeal.opened", "alert.raised", ordered=True)
    await harness.emit(subject_id=ONE, number=10)
    await raise_alert(harness, kind="urgent", appeal_id=ONE, appeal_number=10)
    await raise_alert(harness, kind="spike", incident_id=TWO, incident_number=7)
    await harness.fan_out()
    await harness.deliver()
    await harness.deliver()
    got = [(request.json["type"], request.json["data"].get("kind")) for request in receiver.received]
    assert sorted(got[:2]) == [("alert.raised", "spike"), ("appeal.opened", None)]
    assert got[2:] == [("alert.raised", "urgent")]


async def test_deliveries_of_the_former_version_and_tests_are_not_ordered(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    await harness.sql("UPDATE webhook_deliveries SET ordering_key = NULL, event_position = NULL")
    await emit(harness, (ONE, 12), (ONE, 13))
    sent = await harness.app.client.post(
        f"{ENDPOINTS}/{endpoint['id']}/test", headers=harness.headers("moderator")
    )
    assert sent.status_code == 202, sent.text
    await harness.deliver()
    assert sorted(request.json["data"].get("number", 0) for request in receiver.received) == [0, 10, 11, 12]


async def test_many_events_of_one_appeal_are_read_once_and_delay_no_other(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatchers, "MAX_READ_OF_ORDERED", 10)
    await harness.endpoint(receiver.url, ordered=True)
    await harness.emit_all([("appeal.opened", None)] * 35, subject_id=ONE, number=10)
    await harness.fan_out()
    await emit(harness, (TWO, 20))
    other = await harness.endpoint(receiver.url, "appeal.answered")
    await harness.emit("appeal.answered", number=30)
    await harness.fan_out()
    dispatcher = harness.dispatcher()
    claims = [await dispatcher.claim(100) for _ in range(4)]
    assert [claimed(one) for one in claims] == [[10, 30], [], [], [20]]
    assert str(next(one for one in claims[0] if one.event_type == "appeal.answered").endpoint_id) == other["id"]
    # 34 wait and are no longer read: only claimed deliveries have a due time, the end of their lease.
    timed = await harness.sql(
        "SELECT next_attempt_at > now() AS leased FROM webhook_deliveries WHERE next_attempt_at < 'infinity'"
    )
    assert [row["leased"] for row in timed] == [True] * 3


async def test_claim_skips_an_ordered_endpoint_while_another_worker_records_its_results(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    """A concurrent claim could not see that the earlier delivery ends, and the next one would wait forever."""
    await harness.endpoint(receiver.url, ordered=True)
    await harness.endpoint(receiver.url, "appeal.answered")
    await emit(harness, (ONE, 10))
    worker, other = harness.dispatcher(), harness.dispatcher()
    async with worker.client() as http:
        [claim] = await worker.claim(10)
        result = await worker.attempt(http, claim)
    await emit(harness, (ONE, 11))
    await harness.emit("appeal.answered", number=30)
    await harness.fan_out()
    claims: list[list[int]] = []

    async def claim_meanwhile(*_: object) -> None:
        claims.append(claimed(await other.claim(10)))

    with mock.patch("services.webhooks.deliveries.attempts.health.record_outcomes", claim_meanwhile):
        await worker.record([result])
    claims.append(claimed(await other.claim(10)))
    assert claims == [[30], [11]]


async def test_event_that_waits_when_the_earlier_one_ends_becomes_due(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, *((ONE, number) for number in range(10, 16)))
    for number in range(10, 16):
        assert await rounds(harness, receiver, 1) == [[number]]


@pytest.mark.parametrize("mode", MODES)
async def test_claim_reads_indexes_with_many_pending_deliveries_of_one_appeal(
    harness: WebhooksHarness, receiver: Receiver, mode: str
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10))
    await harness.sql(
        """WITH event AS (
            INSERT INTO events (id, type, subject_id, actor, occurred_at, created_at, data, position)
            SELECT gen_random_uuid(), type, subject_id, actor, occurred_at, created_at, data, position + n
            FROM events CROSS JOIN generate_series(1, 10000) AS n WHERE type = 'appeal.opened'
            RETURNING id, type, subject_id, position
        )
        INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, ordering_key, event_position,
            payload, status, attempts, next_attempt_at, created_at)
        SELECT gen_random_uuid(), $1, id, type, subject_id, position, '{}', 'pending', 0, now(), now()
        FROM event""",
        UUID(endpoint["id"]),
    )
    await harness.sql("ANALYZE webhook_deliveries")
    dispatcher = harness.dispatcher()

    async def claim(session: WriteSession) -> None:
        [first] = await dispatcher.lease(session, 100, {})
        await ordering.wake_following(session, [first.id])

    found = await explain(harness.database, claim, mode, {})
    claims, wakes = [
        [plan for plan in found.plans if part in plan.statement] for part in ("FOR UPDATE SKIP", "following AS")
    ]
    assert claims[0].indexes >= {"ix_webhook_deliveries_due", "ix_webhook_deliveries_order"}
    assert wakes[0].indexes >= {"ix_webhook_deliveries_order", "pk_webhook_deliveries"}
    for plan in found.plans:
        assert "webhook_deliveries" not in plan.sequential, plan.statement
        assert plan.sorted_rows <= dispatchers.MAX_READ_OF_ORDERED, plan.statement


async def test_deliveries_held_too_long_fail_and_younger_ones_behind_them_become_due(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11), (ONE, 12), (ONE, 13))
    dispatcher = harness.dispatcher()
    # The claim of the first makes the others wait; its worker records no result.
    assert claimed(await dispatcher.claim(4)) == [10]
    await change(harness, endpoint, paused=True)
    await harness.sql(
        """UPDATE webhook_deliveries SET created_at = now() - interval '31 days',
            next_attempt_at = CASE WHEN isfinite(next_attempt_at) THEN now() - interval '31 days'
                ELSE next_attempt_at END
        FROM events WHERE events.id = event_id AND (data->>'number')::int < 12"""
    )
    assert await pending_deliveries.fail_held(harness.database, timedelta(days=30)) == 2
    await change(harness, endpoint, paused=False)
    assert await rounds(harness, receiver, 2) == [[12], [13]]


async def test_replayed_delivery_of_a_paused_endpoint_is_held_for_the_whole_period(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10), (ONE, 11))
    await harness.sql(
        "UPDATE webhook_deliveries SET status = 'failed', created_at = now() - interval '31 days',"
        " next_attempt_at = now() - interval '31 days'"
    )
    assert (await replay(harness, endpoint, what="failed"))["queued"] == 2
    await harness.make_due()
    assert claimed(await harness.dispatcher().claim(4)) == [10]
    await change(harness, endpoint, paused=True)
    term = timedelta(days=30)
    assert await pending_deliveries.fail_held(harness.database, term) == 0
    # Once the first delivery has been due for the whole period, the one that waits for it fails too.
    await harness.sql(
        "UPDATE webhook_deliveries SET next_attempt_at = now() - interval '31 days'"
        " WHERE isfinite(next_attempt_at)"
    )
    assert await pending_deliveries.fail_held(harness.database, term) == 2


async def test_deliveries_that_wait_for_one_held_too_long_fail_in_batches(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_deliveries, "HELD_BATCH", 2)
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, *((ONE, number) for number in range(10, 15)))
    assert claimed(await harness.dispatcher().claim(4)) == [10]
    await change(harness, endpoint, paused=True)
    await harness.sql(
        """UPDATE webhook_deliveries SET created_at = now() - interval '31 days', next_attempt_at =
            CASE WHEN isfinite(next_attempt_at) THEN now() - interval '31 days' ELSE next_attempt_at END"""
    )
    assert await pending_deliveries.fail_held(harness.database, timedelta(days=30)) == 5


async def waits_with_nothing_locked(
    harness: WebhooksHarness, held: str, work: Coroutine[Any, Any, Any], other: str
) -> None:
    """Run the work while `held` is locked; assert that it waits for `held` before it locks `other`."""
    connection = await harness.test_database.connect()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    async def is_waiting() -> bool:
        return bool(await harness.sql(waiting))

    try:
        async with connection.transaction():
            assert await connection.fetch(f"{held} FOR SHARE")
            running = asyncio.create_task(work)
            await eventually(is_waiting)
            assert await connection.fetch(f"{other} FOR UPDATE NOWAIT")
        await running
    finally:
        await connection.close()


@pytest.mark.parametrize("work", ["results", "held"])
async def test_deliveries_are_locked_by_id(harness: WebhooksHarness, receiver: Receiver, work: str) -> None:
    """Erasure locks them in this order, without the endpoints: a different order could deadlock."""
    plain = await harness.endpoint(receiver.url, "appeal.answered")
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await harness.emit("appeal.answered", number=1)
    await emit(harness, (ONE, 10), (ONE, 11))
    dispatcher = harness.dispatcher()
    claims = await dispatcher.claim(4)
    assert claimed(claims) == [1, 10]
    locked = "SELECT id FROM webhook_deliveries WHERE id = "
    first, second = UUID(int=1), UUID(int=2)
    if work == "results":
        by_endpoint = {str(claim.endpoint_id): claim.id for claim in claims}
        first, second = by_endpoint[plain["id"]], by_endpoint[endpoint["id"]]
        assert first < second
        async with dispatcher.client() as http:
            results = [await dispatcher.attempt(http, claim) for claim in claims]
        doing: Coroutine[Any, Any, Any] = dispatcher.record(results)
    else:
        # The waiting delivery has a lower id than the one that it waits for.
        await harness.sql(
            "UPDATE webhook_deliveries SET id = CASE WHEN isfinite(next_attempt_at) THEN $1::uuid ELSE $2 END"
            " WHERE endpoint_id = $3",
            second,
            first,
            UUID(endpoint["id"]),
        )
        await harness.sql(
            "UPDATE webhook_deliveries SET next_attempt_at = now() - interval '31 days' WHERE id = $1", second
        )
        await change(harness, endpoint, paused=True)
        doing = pending_deliveries.fail_held(harness.database, timedelta(days=30))
    await waits_with_nothing_locked(harness, f"{locked} '{first}'", doing, f"{locked} '{second}'")


async def test_deletion_locks_the_turn_before_deliveries(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url, ordered=True)
    await emit(harness, (ONE, 10))

    async def delete() -> None:
        answer = await harness.app.client.delete(
            f"{ENDPOINTS}/{endpoint['id']}", headers=harness.headers("moderator")
        )
        assert answer.status_code == 204, answer.text

    turns = "SELECT endpoint_id FROM webhook_claim_turns"
    await waits_with_nothing_locked(harness, turns, delete(), "SELECT id FROM webhook_deliveries")
    assert await harness.sql("SELECT FROM webhook_endpoints") == []
