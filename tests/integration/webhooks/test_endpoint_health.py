"""The health of an endpoint; an endpoint that fails for days is disabled once and can be enabled again."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest

from cli.embedded.temporary_postgres import free_port
from services.webhooks.endpoints import disabling
from shared import clock
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.integration.webhooks.notice_office import Office
from tests.support.mail_server import MailServer
from tests.support.service_under_test import insert_organisation

ENDPOINTS = "/api/v1/webhooks/endpoints"
DISABLED = "webhook.endpoint_disabled"
FIVE_DAYS = timedelta(days=5)


async def shown(harness: WebhooksHarness, endpoint: dict[str, Any]) -> dict[str, Any]:
    answer = await harness.app.client.get(f"{ENDPOINTS}/{endpoint['id']}", headers=harness.headers("moderator"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def activate(harness: WebhooksHarness, endpoint: dict[str, Any]) -> dict[str, Any]:
    answer = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"active": True},
        headers=harness.headers("moderator", **{"If-Match": "*"}),
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def fails(harness: WebhooksHarness, receiver: Receiver) -> None:
    """Run a round in which the receiver fails; make all pending deliveries due again."""
    receiver.statuses = [500] * 10
    await harness.deliver()
    receiver.statuses = []
    await harness.make_due()


async def has_failed_for(harness: WebhooksHarness, duration: timedelta) -> None:
    await harness.sql("UPDATE webhook_endpoint_health SET failing_since = now() - $1::interval", duration)


async def last_failed(harness: WebhooksHarness, ago: timedelta) -> None:
    await harness.sql("UPDATE webhook_endpoint_health SET last_failure_at = now() - $1::interval", ago)


async def test_health_follows_the_attempts(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url)
    assert (await shown(harness, endpoint))["health"] == {
        "state": "ok", "failing_since": None, "consecutive_failures": 0, "last_success_at": None,
        "last_attempt": None, "waiting": 0, "failed": 0,
    }  # fmt: skip
    await harness.emit()
    await harness.fan_out()
    await fails(harness, receiver)
    first = (await shown(harness, endpoint))["health"]
    await fails(harness, receiver)
    failing = (await shown(harness, endpoint))["health"]
    assert (failing["state"], failing["consecutive_failures"], failing["waiting"]) == ("failing", 2, 1)
    assert failing["failing_since"] == first["failing_since"] is not None
    last = failing["last_attempt"]
    assert (last["response_status"], last["error"]) == (500, "HTTP 500")
    assert last["started_at"] > first["last_attempt"]["started_at"]
    await harness.deliver()
    healed = (await shown(harness, endpoint))["health"]
    assert (healed["state"], healed["consecutive_failures"], healed["failing_since"]) == ("ok", 0, None)
    assert (healed["last_success_at"] is not None, healed["last_attempt"]["error"], healed["waiting"]) == (
        True, None, 0,
    )  # fmt: skip
    await harness.sql("UPDATE webhook_deliveries SET status = 'failed'")
    assert (await shown(harness, endpoint))["health"]["failed"] == 1


async def test_endpoint_without_a_success_for_five_days_is_disabled(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for _ in range(2):
        await harness.emit()
    await harness.fan_out()
    await fails(harness, receiver)
    await has_failed_for(harness, FIVE_DAYS - timedelta(minutes=1))
    # Only the clock of the database counts, not that of this process.
    with mock.patch("shared.clock.now", return_value=clock.now() + timedelta(days=30)):
        await fails(harness, receiver)
    assert (await shown(harness, endpoint))["active"] is True
    await has_failed_for(harness, FIVE_DAYS + timedelta(minutes=1))
    await fails(harness, receiver)
    found = await shown(harness, endpoint)
    assert (found["active"], found["disabled_reason"]) == (False, "no delivery succeeded for 5 days")
    assert found["disabled_at"] is not None
    assert (found["health"]["state"], found["health"]["waiting"], found["health"]["failed"]) == ("disabled", 0, 2)
    [event] = await harness.sql("SELECT data, subject_id, organisation_id FROM events WHERE type = $1", DISABLED)
    assert str(event["subject_id"]) == endpoint["id"]
    assert '"failed_deliveries": 2' in str(event["data"])
    refused = await harness.app.client.post(
        f"{ENDPOINTS}/{endpoint['id']}/test", headers=harness.headers("moderator")
    )
    assert (refused.status_code, "disabled" in refused.json()["detail"]) == (409, True)


async def test_success_between_failures_keeps_the_endpoint_active(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for _ in range(2):
        await harness.emit()
    await harness.fan_out()
    await fails(harness, receiver)
    await has_failed_for(harness, FIVE_DAYS * 2)
    dispatcher = harness.dispatcher()
    [claim] = await dispatcher.claim(1)
    async with dispatcher.client() as http:
        await dispatcher.record([await dispatcher.attempt(http, claim)])
    # A worker that saw the earlier failures may decide now: it must check for the success first.
    async with harness.database.write() as session:
        await disabling.disable_failing(session, [UUID(endpoint["id"])], FIVE_DAYS)
    await fails(harness, receiver)
    found = await shown(harness, endpoint)
    assert (found["active"], found["health"]["state"], found["health"]["consecutive_failures"]) == (
        True, "failing", 1,
    )  # fmt: skip


async def test_concurrent_workers_disable_an_endpoint_once(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for _ in range(4):
        await harness.emit()
    await harness.fan_out()
    await fails(harness, receiver)
    await has_failed_for(harness, FIVE_DAYS * 2)
    receiver.statuses = [500, 410] * 2
    workers = [harness.dispatcher() for _ in range(4)]
    claims = [(worker, claim) for worker in workers for claim in await worker.claim(1)]
    async with workers[0].client() as http:
        results = [(worker, await worker.attempt(http, claim)) for worker, claim in claims]
    assert len(results) == 4
    await asyncio.gather(*(worker.record([result]) for worker, result in results))
    found = await shown(harness, endpoint)
    assert (found["active"], found["version"], found["health"]["failed"]) == (False, 2, 4)
    assert len(await harness.sql("SELECT 1 FROM events WHERE type = $1", DISABLED)) == 1


async def test_late_failure_does_not_queue_a_delivery_of_a_disabled_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    await harness.endpoint(receiver.url)
    for _ in range(3):
        await harness.emit()
    await harness.fan_out()
    receiver.statuses = [410, 500, 200]
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        results = [await dispatcher.attempt(http, claim) for claim in await dispatcher.claim(3)]
    for result in results:
        await dispatcher.record([result])
    rows = await harness.sql("SELECT response_status, status FROM webhook_deliveries ORDER BY 1")
    assert [tuple(row) for row in rows] == [(200, "delivered"), (410, "failed"), (500, "failed")]


async def test_other_endpoints_of_the_organisation_get_the_event_of_the_disabling(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    dead = await harness.endpoint(receiver.url, "appeal.opened", DISABLED, organisation_id=school, role="manager")
    watching = [
        await harness.endpoint(receiver.url, DISABLED, organisation_id=of, role="manager")
        for of in (school, clinic)
    ]
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    receiver.statuses = [410]
    await harness.deliver()
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    await harness.deliver()
    bodies = [request.json for request in receiver.received if request.json["type"] == DISABLED]
    assert [body["data"]["id"] for body in bodies] == [dead["id"]]
    assert bodies[0]["data"]["reason"] == "the receiver answered 410 Gone"
    deliveries = await harness.deliveries(event_type=DISABLED)
    assert [delivery["endpoint_id"] for delivery in deliveries] == [watching[0]["id"]]


async def test_enabled_endpoint_has_no_past_failures_and_can_be_replayed(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for number in range(2):
        await harness.emit(number=number)
    await harness.fan_out()
    await fails(harness, receiver)
    await has_failed_for(harness, FIVE_DAYS * 2)
    await fails(harness, receiver)
    assert (await shown(harness, endpoint))["health"]["state"] == "disabled"
    await harness.emit(number=2)
    await harness.fan_out()
    enabled = await activate(harness, endpoint)
    assert (enabled["active"], enabled["disabled_at"], enabled["disabled_reason"]) == (True, None, None)
    assert (await shown(harness, endpoint))["health"]["failing_since"] is None
    receiver.received.clear()
    answer = await harness.app.client.post(
        f"{ENDPOINTS}/{endpoint['id']}/replay",
        json={"what": "all", "since": "2020-01-01T00:00:00Z"},
        headers=harness.headers("moderator"),
    )
    assert (answer.status_code, answer.json()["queued"]) == (202, 3)
    await harness.make_due()
    await fails(harness, receiver)
    assert (await shown(harness, endpoint))["health"]["state"] == "failing"
    await harness.deliver()
    numbers = [request.json["data"]["number"] for request in receiver.received]
    assert set(numbers) == {0, 1, 2}


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, "получатель не принял ни одного события"), (410, "больше не принимает события (410)"), (500, None)],
    ids=["failing", "gone", "enabled again before the letter"],
)
async def test_owner_gets_a_letter_about_the_disabling(
    receiver: Receiver, office: Office, mail: MailServer, status: int, said: str | None
) -> None:
    harness = office.harness
    owner = await office.person("manager", address="anna@example.ru")
    stranger = await office.person("manager", address=None)
    for owner_id in (owner, stranger):
        endpoint = await harness.endpoint(receiver.url, organisation_id=office.organisation_id, role="manager")
        await harness.sql(
            "UPDATE webhook_endpoints SET owner_id = $1 WHERE id = $2", owner_id, UUID(endpoint["id"])
        )
    for _ in range(2):
        await harness.emit("appeal.opened", office.organisation_id)
    await harness.fan_out()
    await fails(harness, receiver)
    await has_failed_for(harness, FIVE_DAYS * 2)
    receiver.statuses = [status] * 4
    await harness.deliver()
    [row] = await harness.sql("SELECT endpoint_id, person_id FROM notice_letters")
    assert row["person_id"] == owner
    if said is None:
        await activate(harness, {"id": row["endpoint_id"]})
    await office.send()
    assert len(mail.letters) == (0 if said is None else 1)
    assert [letter["status"] for letter in await office.letters()] == ["cancelled" if said is None else "sent"]
    if said is not None:
        words = " ".join(mail.letters[0].body().split())
        assert said in words
        assert "Не доставлено событий: 2." in words
        assert f"https://api.example.ru/webhooks/{row['endpoint_id']}" in words


async def test_410_of_a_former_url_does_not_disable_the_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    receiver.statuses = [410]
    dispatcher = harness.dispatcher()
    async with dispatcher.client() as http:
        [claim] = await dispatcher.claim(1)
        result = await dispatcher.attempt(http, claim)
        await harness.sql("UPDATE webhook_endpoints SET url = $1", f"{receiver.url}/new")
        await dispatcher.record([result])
    [row] = await harness.sql(
        "SELECT active, disabled_at FROM webhook_endpoints WHERE id = $1", UUID(endpoint["id"])
    )
    assert (row["active"], row["disabled_at"]) == (True, None)


async def test_failures_before_and_after_quiet_days_do_not_disable_the_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    await fails(harness, receiver)
    # Nothing was sent for five days.
    await has_failed_for(harness, FIVE_DAYS + timedelta(days=2))
    await last_failed(harness, FIVE_DAYS)
    await fails(harness, receiver)
    found = await shown(harness, endpoint)
    assert (found["active"], found["health"]["consecutive_failures"]) == (True, 2)
    since = datetime.fromisoformat(found["health"]["failing_since"])
    assert since > await harness.database_now() - timedelta(hours=1)
    # Failures a day apart, as in the retries of one delivery, count as one uninterrupted period.
    await has_failed_for(harness, FIVE_DAYS + timedelta(days=2))
    await last_failed(harness, timedelta(hours=26.4))
    await fails(harness, receiver)
    assert (await shown(harness, endpoint))["active"] is False


async def test_endpoints_are_not_disabled_while_no_receiver_can_be_reached(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    dead, other = [
        await harness.endpoint(f"http://{host}:{free_port()}/", kind)
        for host, kind in (("127.0.0.2", "appeal.opened"), ("127.0.0.3", "appeal.answered"))
    ]

    async def round_of_events() -> dict[str, bool]:
        for kind in ("appeal.opened", "appeal.answered"):
            await harness.emit(kind)
        await harness.fan_out()
        await harness.deliver()
        await has_failed_for(harness, FIVE_DAYS * 2)
        return {endpoint["id"]: (await shown(harness, endpoint))["active"] for endpoint in (dead, other)}

    await round_of_events()
    assert await round_of_events() == {dead["id"]: True, other["id"]: True}
    # One of them answers, though with an error: the network works, so both failed through their own fault.
    receiver.statuses = [500] * 10
    await harness.sql("UPDATE webhook_endpoints SET url = $1 WHERE id = $2", receiver.url, UUID(other["id"]))
    await harness.make_due()
    await round_of_events()
    assert await round_of_events() == {dead["id"]: False, other["id"]: False}


async def test_end_of_a_long_fault_of_our_own_disables_no_endpoint(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    failing, healthy = [
        await harness.endpoint(f"http://{host}:{free_port()}/", kind)
        for host, kind in (("127.0.0.2", "appeal.opened"), ("127.0.0.3", "appeal.answered"))
    ]

    async def round_of_events() -> dict[str, Any]:
        for kind in ("appeal.opened", "appeal.answered"):
            await harness.emit(kind)
        await harness.fan_out()
        await harness.make_due()
        await harness.deliver()
        return await shown(harness, failing)

    async def since(found: dict[str, Any]) -> timedelta:
        return await harness.database_now() - datetime.fromisoformat(found["health"]["failing_since"])

    await round_of_events()
    await has_failed_for(harness, timedelta(hours=23))
    assert await since(await round_of_events()) > timedelta(hours=22)
    # On the tenth day no receiver has answered yet.
    await has_failed_for(harness, FIVE_DAYS * 2)
    assert await since(await round_of_events()) < timedelta(hours=1)
    # The network is back: the other receiver accepts, and this one fails for the first time through its own fault.
    await harness.sql("UPDATE webhook_endpoints SET url = $1 WHERE id = $2", receiver.url, UUID(healthy["id"]))
    back = await round_of_events()
    assert (back["active"], back["health"]["state"]) == (True, "failing")
    assert receiver.received
    await has_failed_for(harness, FIVE_DAYS + timedelta(minutes=1))
    assert (await round_of_events())["active"] is False


async def test_unreachable_receiver_is_disabled_if_no_other_was_called(harness: WebhooksHarness) -> None:
    port = free_port()
    endpoints = [await harness.endpoint(f"http://127.0.0.2:{port}/{path}") for path in "ab"]
    for _ in range(2):
        await harness.emit()
        await harness.fan_out()
        await harness.deliver()
        await has_failed_for(harness, FIVE_DAYS * 2)
    assert [(await shown(harness, endpoint))["active"] for endpoint in endpoints] == [False, False]
