"""Replay of failed deliveries, of a period or of one event; new events of the endpoint go first."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest

from services.webhooks.deliveries import replay as replays
from services.webhooks.deliveries.erasure import erase_deliveries
from services.webhooks.deliveries.event_range import DISORDER, first_position
from shared.events.relay import EPOCH_BITS
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.integration.webhooks.test_personal_data_consent import SAID, wrote
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_organisation

ENDPOINTS = "/api/v1/webhooks/endpoints"
LONG_AGO = "2020-01-01T00:00:00Z"


async def asks(
    harness: WebhooksHarness,
    endpoint: dict[str, Any],
    role: str = "moderator",
    organisation_id: UUID | None = None,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> Any:
    return await harness.app.client.post(
        f"{ENDPOINTS}/{endpoint['id']}/replay",
        json=body,
        headers=harness.headers(role, organisation_id, **(headers or {})),
    )


async def replay(harness: WebhooksHarness, endpoint: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await asks(harness, endpoint, **({"what": "all", "since": LONG_AGO} | body))
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def deliver_all(harness: WebhooksHarness) -> None:
    await harness.make_due()
    while await harness.deliver():
        await harness.make_due()


def numbers(receiver: Receiver) -> list[int]:
    return [request.json["data"]["number"] for request in receiver.received]


async def test_all_failed_deliveries_are_sent_again_with_the_same_ids(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    other = await harness.endpoint(receiver.url, "appeal.answered")
    for number in range(4):
        await harness.emit(number=number)
    await harness.emit("appeal.answered")
    await harness.fan_out()
    await harness.sql("UPDATE webhook_deliveries SET status = 'failed', attempts = 10, last_error = 'HTTP 500'")
    await harness.sql(
        """UPDATE webhook_deliveries SET created_at = '2026-01-01', status = CASE data->>'number'
            WHEN '3' THEN 'delivered' ELSE webhook_deliveries.status END
        FROM events WHERE events.id = event_id AND data->>'number' IN ('0', '3')"""
    )
    failed = {row["event_id"] for row in await harness.deliveries(status="failed")}
    in_january = {"what": "failed", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    one = await replay(harness, endpoint, **in_january)
    assert (one["queued"], one["has_more"], one["next_after"]) == (1, False, None)
    rest = await replay(harness, endpoint, what="failed")
    assert rest["queued"] == 2
    nothing = await replay(harness, endpoint, what="failed")
    assert (nothing["queued"], nothing["last_due_at"]) == (0, None)
    await deliver_all(harness)
    assert sorted(numbers(receiver)) == [0, 1, 2]
    assert {request.id for request in receiver.received} < failed
    [left] = await harness.deliveries(status="failed")
    assert left["endpoint_id"] == other["id"]
    actions = await harness.sql(
        "SELECT actor, subject_kind, subject_id FROM audit WHERE action = 'replay_webhook_events'"
    )
    assert [tuple(row) for row in actions] == [
        (harness.subject("moderator"), "webhook_endpoints", endpoint["id"])
    ] * 3


async def test_all_events_include_those_never_sent_to_the_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    await harness.emit("appeal.opened", school, number=0)
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    path, headers = f"{ENDPOINTS}/{endpoint['id']}", harness.headers("executor", school, **{"If-Match": "*"})
    await harness.emit("appeal.opened", school, number=1)
    await harness.fan_out()
    await harness.deliver()
    await harness.app.client.patch(path, json={"active": False}, headers=headers)
    await harness.emit("appeal.opened", school, number=2)
    await harness.emit("appeal.opened", clinic, number=20)
    await harness.emit("appeal.answered", school, number=21)
    await harness.fan_out()
    await harness.app.client.patch(path, json={"active": True}, headers=headers)
    await harness.emit("appeal.opened", school, number=3)
    await harness.fan_out()
    await harness.emit("appeal.opened", school, number=4)
    assert numbers(receiver) == [1]
    # One delivery is waiting and one event is not fanned out yet: the replay need not queue them.
    answer = await asks(harness, endpoint, "executor", school, what="all", since=LONG_AGO)
    assert (answer.status_code, answer.json()["queued"], answer.json()["has_more"]) == (202, 3, False)
    await harness.fan_out()
    await deliver_all(harness)
    assert sorted(numbers(receiver)) == [0, 1, 1, 2, 3, 4]
    events = await harness.sql("SELECT id FROM events WHERE data->>'number' IN ('0', '1', '2', '3', '4')")
    assert {request.id for request in receiver.received} == {str(row["id"]) for row in events}
    rows = await harness.sql("SELECT organisation_id, payload::text FROM webhook_deliveries")
    assert {row["organisation_id"] for row in rows} == {school}


async def test_single_event_is_replayed_if_the_endpoint_may_receive_it(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    await harness.emit("appeal.opened", school, number=1)
    await harness.emit("appeal.opened", None, number=2)
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    rows = await harness.sql("SELECT id, organisation_id FROM events WHERE type = 'appeal.opened'")
    ids = {row["organisation_id"]: str(row["id"]) for row in rows}
    for _ in range(2):
        answer = await asks(harness, endpoint, "executor", school, what="event", event_id=ids[school])
        assert (answer.status_code, answer.json()["queued"]) == (202, 1), answer.text
        await deliver_all(harness)
    assert [request.id for request in receiver.received] == [ids[school]] * 2
    # An event of another organisation gets the same answer as an unknown id.
    foreign, unknown = [
        await asks(harness, endpoint, "executor", school, what="event", event_id=event_id)
        for event_id in (ids[None], str(uuid4()))
    ]
    assert (foreign.status_code, foreign.json()["detail"]) == (unknown.status_code, unknown.json()["detail"])
    assert unknown.status_code == 404


async def test_new_events_are_delivered_before_replayed_ones(harness: WebhooksHarness, receiver: Receiver) -> None:
    for number in range(40):
        await harness.emit(number=number)
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url)
    before = await harness.database_now()
    asked = await replay(harness, endpoint)
    after = await harness.database_now()
    end = datetime.fromisoformat(asked["last_due_at"])
    assert asked["queued"] == 40
    assert before <= end - timedelta(seconds=2) <= after
    # Half of them have become due; the new event is due at once.
    await harness.sql(
        """UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at
            + CASE WHEN (data->>'number')::int < 20 THEN interval '-1 hour' ELSE interval '1 hour' END
        FROM events WHERE events.id = event_id"""
    )
    await harness.emit(number=100)
    await harness.fan_out()
    dispatcher = harness.dispatcher()
    claims = await dispatcher.claim(100)
    assert sorted(claim.payload["data"]["number"] for claim in claims) == [*range(20), 100]
    # A second replay is due after the first one.
    [new] = [claim for claim in claims if claim.payload["data"]["number"] == 100]
    again = await asks(harness, endpoint, what="event", event_id=str(new.event_id))
    assert again.json()["queued"] == 0
    await harness.sql("UPDATE webhook_deliveries SET status = 'failed' WHERE last_attempt_at IS NOT NULL")
    later = await replay(harness, endpoint, what="failed")
    assert datetime.fromisoformat(later["last_due_at"]) == end + timedelta(hours=1, seconds=21 / 20)


async def test_long_period_is_replayed_in_parts(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "REPLAYED_AT_ONCE", 2)
    monkeypatch.setattr(replays, "LOOKED_THROUGH_AT_ONCE", 3)
    for number in range(5):
        await harness.emit(number=number)
        await harness.emit_all([("appeal.closed", None)] * 4)
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url)
    parts = [await replay(harness, endpoint)]
    while parts[-1]["has_more"]:
        parts.append(await replay(harness, endpoint, after=parts[-1]["next_after"]))
        assert parts[-1]["queued"] <= 2
    assert sum(part["queued"] for part in parts) == 5
    assert parts[-1]["next_after"] is None
    queued = await harness.sql(
        "SELECT data->>'number' AS number FROM webhook_deliveries JOIN events ON events.id = event_id"
        " ORDER BY next_attempt_at"
    )
    assert [row["number"] for row in queued] == ["0", "1", "2", "3", "4"]
    await deliver_all(harness)
    assert sorted(numbers(receiver)) == [0, 1, 2, 3, 4]
    await harness.sql("UPDATE webhook_deliveries SET status = 'failed'")
    failed = [await replay(harness, endpoint, what="failed") for _ in range(3)]
    assert [(part["queued"], part["has_more"]) for part in failed] == [(2, True), (2, True), (1, False)]


async def test_bounds_of_a_period_hold_for_events_out_of_order(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    start = datetime.fromisoformat("2026-11-02T00:00:00+00:00")
    # A long transaction committed late: its event has a later position than newer ones.
    minutes = [-120, -90, 10, -30, 30, 0, 59, 60, 45, 100, 200]
    for number in range(len(minutes)):
        await harness.emit(number=number)
    await harness.fan_out()
    for number, minute in enumerate(minutes):
        await harness.sql(
            "UPDATE events SET created_at = $1, position = position + $2 WHERE data->>'number' = $3",
            start + timedelta(minutes=minute),
            # From event 5 on the positions belong to a new epoch.
            1 << EPOCH_BITS if number >= 5 else 0,
            str(number),
        )
    await harness.sql("UPDATE webhooks_consumer_offsets SET position = $1", 1 << 40)
    endpoint = await harness.endpoint(receiver.url)
    until = start + timedelta(hours=1)
    asked = await replay(harness, endpoint, since=start.isoformat(), until=until.isoformat())
    assert (asked["queued"], asked["has_more"]) == (5, False)
    await deliver_all(harness)
    assert sorted(numbers(receiver)) == [2, 4, 5, 6, 8]
    async with harness.database.read() as session:
        assert await first_position(session, start - timedelta(days=1)) <= 1
        assert await first_position(session, start + DISORDER + timedelta(days=1)) > 1 << EPOCH_BITS


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"what": "failed"}, "/since"),
    ({"what": "all", "until": LONG_AGO}, "/since"),
    ({"what": "event"}, "/event_id"),
    ({"what": "event", "event_id": str(UUID(int=1)), "since": LONG_AGO}, "/since"),
    ({"what": "all", "since": LONG_AGO, "event_id": str(UUID(int=1))}, "/event_id"),
    ({"what": "failed", "since": LONG_AGO, "after": "0.1"}, "/after"),
    ({"what": "all", "since": LONG_AGO, "after": "yesterday"}, "/after"),
    ({"what": "all", "since": LONG_AGO, "until": LONG_AGO}, "/until"),
    ({"what": "all", "since": "2026-01-01T00:00:00"}, "/since"),
    ({"what": "all", "since": "0001-01-01T00:00:00+14:00"}, "/since"),
    ({"what": "all", "since": LONG_AGO, "until": "9999-12-31T23:59:59-14:00"}, "/until"),
    ({"what": "some", "since": LONG_AGO}, "/what"),
]


async def test_inconsistent_request_is_refused_naming_the_field(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for body, pointer in REFUSED:
        answer = await asks(harness, endpoint, **body)
        found = (answer.status_code, [error["pointer"] for error in answer.json()["errors"]])
        assert found == (422, [pointer]), body


async def test_nothing_is_replayed_to_an_inactive_or_suspended_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    every: dict[str, Any] = {"what": "all", "since": LONG_AGO}
    assert (await asks(harness, endpoint, "manager", clinic, **every)).status_code == 404
    await harness.sql(
        "UPDATE people SET locked_at = now() WHERE id = $1", UUID(harness.subject("executor", school))
    )
    refused = await asks(harness, endpoint, "manager", school, **every)
    assert (refused.status_code, "no longer has access" in refused.json()["detail"]) == (409, True)
    await harness.sql("UPDATE webhook_endpoints SET active = false")
    refused = await asks(harness, endpoint, "manager", school, **every)
    assert (refused.status_code, "inactive" in refused.json()["detail"]) == (409, True)


async def test_repeated_request_replays_once(harness: WebhooksHarness, receiver: Receiver) -> None:
    await harness.emit(number=1)
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url)
    key = {"Idempotency-Key": "gap of Monday"}
    first = await asks(harness, endpoint, headers=key, what="all", since=LONG_AGO)
    await deliver_all(harness)
    again = await asks(harness, endpoint, headers=key, what="all", since=LONG_AGO)
    assert (first.json(), first.json()["queued"]) == (again.json(), 1)
    assert again.headers["idempotent-replay"] == "true"
    await deliver_all(harness)
    assert numbers(receiver) == [1]
    other = await asks(harness, endpoint, headers=key, what="failed", since=LONG_AGO)
    assert other.status_code == 422


async def test_replay_waits_for_an_erasure_and_sends_no_erased_text(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    message_id = await wrote(harness, school)
    appeal_id = await harness.emit("appeal.opened", school, message_id=str(message_id))
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="manager", personal_data=True)

    async def waits() -> bool:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(await harness.sql(waiting))

    async with harness.database.write() as session:
        assert await erase_deliveries(session, [appeal_id]) == 0
        asked = asyncio.create_task(asks(harness, endpoint, "manager", school, what="all", since=LONG_AGO))
        await eventually(waits, "the replay waits")
        await harness.sql("UPDATE messages SET text = ''")
    assert (await asked).json()["queued"] == 1
    await deliver_all(harness)
    assert [request.json["data"]["text"] for request in receiver.received] == [""]
    assert SAID not in str(await harness.sql("SELECT payload::text FROM webhook_deliveries"))


async def test_text_of_an_appeal_now_assigned_to_another_organisation_is_omitted(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    for owner in (school, clinic):
        message_id = await wrote(harness, school)
        appeal_id = await harness.emit("appeal.opened", school, message_id=str(message_id), url=f"https://{owner}")
        await harness.sql(
            """INSERT INTO appeals (id, number, version, status, urgency, text, written_at, opened_at, route,
                                    transfers, returns, created_at, updated_at, organisation_id)
               VALUES ($1, nextval('appeals_number_seq'), 1, 'assigned', 'normal', '', now(), now(), '{}', 0, 0,
                       now(), now(), $2)""",
            appeal_id,
            owner,
        )
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="manager", personal_data=True)
    answer = await asks(harness, endpoint, "manager", school, what="all", since=LONG_AGO)
    assert answer.json()["queued"] == 2
    await deliver_all(harness)
    texts = {request.json["data"]["url"]: request.json["data"].get("text") for request in receiver.received}
    assert texts == {f"https://{school}": SAID, f"https://{clinic}": None}


async def test_nothing_is_replayed_to_an_endpoint_with_many_waiting_deliveries(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    with mock.patch("services.webhooks.endpoints.health.MAX_COUNTED", 1):
        answer = await asks(harness, endpoint, what="all", since=LONG_AGO)
    assert answer.status_code == 409
    assert "are waiting for this endpoint" in answer.json()["detail"]


async def test_replay_in_parts_ends_where_its_first_request_ended(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "REPLAYED_AT_ONCE", 2)
    for number in range(4):
        await harness.emit(number=number)
    await harness.fan_out()
    endpoint = await harness.endpoint(receiver.url)
    first = await replay(harness, endpoint)
    assert (first["queued"], first["has_more"]) == (2, True)
    for number in (10, 11):
        await harness.emit(number=number)
    await harness.fan_out()
    await deliver_all(harness)
    second = await replay(harness, endpoint, after=first["next_after"])
    assert (second["queued"], second["has_more"], second["next_after"]) == (2, False, None)
    await deliver_all(harness)
    assert sorted(numbers(receiver)) == [0, 1, 2, 3, 10, 11]
    # A cursor of a former version does not contain the end.
    old = await replay(harness, endpoint, after=first["next_after"].partition("-")[0])
    assert (old["queued"], old["has_more"]) == (2, True)
    for cursor in ("0.1-", "-0.1", "0.1-0.2-0.3", "0.1-now"):
        refused = await asks(harness, endpoint, what="all", since=LONG_AGO, after=cursor)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/after")
