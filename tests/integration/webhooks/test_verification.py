"""A new URL gets deliveries only once its receiver has repeated the challenge."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import standardwebhooks
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.webhooks.endpoints import disabling, pending_deliveries
from shared.events.relay import number_committed_events
from tests.conftest import TestDatabase
from tests.integration.webhooks.conftest import Received, Receiver, WebhooksHarness
from tests.integration.webhooks.test_endpoint_owners import of_system
from tests.support.service_under_test import insert_organisation, service_under_test

ENDPOINTS = "/api/v1/webhooks/endpoints"


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[WebhooksHarness]:
    """The service with the default of production: new URLs must be verified."""
    async with service_under_test(
        "webhooks", database, keys_dir, webhooks_require_verification="true", webhooks_tests_per_minute="3"
    ) as app:
        yield WebhooksHarness(app, database)


@dataclass
class VerifyingReceiver(Receiver):
    """A receiver that answers challenges, in several parts if `parts` is more than one."""

    answers: bool = True
    parts: int = 1

    async def respond(self, request: web.Request) -> web.StreamResponse:
        usual = await self.answer(request)
        event = self.received[-1].json
        if event["type"] != "webhook.verification" or not self.answers or usual.status != 200:
            return usual
        body = json.dumps({"challenge": event["data"]["challenge"]}).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        size = -(-len(body) // self.parts)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
        return response


@pytest.fixture
async def receiver() -> AsyncIterator[VerifyingReceiver]:
    app = web.Application()
    server = TestServer(app, host="127.0.0.1")
    found = VerifyingReceiver(server)
    app.router.add_post("/hook", found.respond)
    async with server:
        yield found


def of_type(receiver: Receiver, kind: str) -> list[Received]:
    return [request for request in receiver.received if request.json["type"] == kind]


async def shown(harness: WebhooksHarness, endpoint: dict[str, Any]) -> dict[str, Any]:
    answer = await harness.app.client.get(f"{ENDPOINTS}/{endpoint['id']}", headers=harness.headers("moderator"))
    found: dict[str, Any] = answer.json()
    return found


async def post(harness: WebhooksHarness, endpoint: dict[str, Any], action: str) -> Any:
    return await harness.app.client.post(
        f"{ENDPOINTS}/{endpoint['id']}/{action}", headers=harness.headers("moderator")
    )


async def patch(harness: WebhooksHarness, endpoint: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json=changes,
        headers=harness.headers("moderator", **{"If-Match": "*"}),
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_events_wait_until_the_receiver_has_repeated_the_challenge(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    assert endpoint["verified_at"] is None
    await harness.emit(number=1)
    await harness.fan_out()
    assert [result.error for result in await harness.deliver()] == [None]
    [request] = receiver.received
    standardwebhooks.Webhook(endpoint["secret"]).verify(request.body, request.headers)
    assert (request.json["type"], request.json["data"]["endpoint_id"]) == ("webhook.verification", endpoint["id"])
    verified = await shown(harness, endpoint)
    # The version is unchanged, because no field that callers can change has changed.
    assert (verified["verified_at"] is not None, verified["version"]) == (True, 1)
    await harness.deliver()
    assert [one.json["data"]["number"] for one in of_type(receiver, "appeal.opened")] == [1]
    again = await post(harness, endpoint, "verification")
    assert (again.status_code, "already verified" in again.json()["detail"]) == (409, True)


async def test_challenge_repeated_in_parts_verifies_the_endpoint(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    receiver.parts = 7
    endpoint = await harness.endpoint(receiver.url)
    await harness.deliver()
    assert (await shown(harness, endpoint))["verified_at"] is not None


async def test_response_without_the_challenge_fails_and_the_challenge_is_sent_again(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    receiver.answers, receiver.body = False, "ok"
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit(number=1)
    await harness.fan_out()
    [failed] = await harness.deliver()
    assert failed.error == "the response does not repeat the challenge: ok"
    # Neither the event nor, before its time, the verification is sent.
    assert await harness.deliver() == []
    assert not await harness.dispatcher()._is_any_due()
    found = await shown(harness, endpoint)
    assert (found["verified_at"], found["health"]["consecutive_failures"]) == (None, 1)
    test = await post(harness, endpoint, "test")
    assert (test.status_code, "not verified" in test.json()["detail"]) == (409, True)
    receiver.answers = True
    await harness.make_due()
    assert await harness.dispatcher()._is_any_due()
    await harness.deliver()
    await harness.deliver()
    assert (await shown(harness, endpoint))["verified_at"] is not None
    first, second = of_type(receiver, "webhook.verification")
    assert (first.id, first.json) == (second.id, second.json)
    assert len(of_type(receiver, "appeal.opened")) == 1


async def test_requested_challenge_replaces_the_former_one(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    # An attempt with the first challenge is under way while the second is requested.
    dispatcher = harness.dispatcher()
    [claim] = await dispatcher.claim(10)
    sent = await post(harness, endpoint, "verification")
    assert (sent.status_code, sent.json()["event_type"]) == (202, "webhook.verification")
    assert sent.headers["RateLimit"].startswith('"webhook-tests";r=1')
    async with dispatcher.client() as http:
        await dispatcher.record([await dispatcher.attempt(http, claim)])
    assert (await shown(harness, endpoint))["verified_at"] is None
    await harness.deliver()
    assert (await shown(harness, endpoint))["verified_at"] is not None
    first, second = (request.json["data"]["challenge"] for request in receiver.received)
    assert first != second


@pytest.mark.parametrize("kept", ["forgotten", "kept"])
async def test_former_receiver_does_not_verify_a_url_that_was_set_while_it_answered(
    harness: WebhooksHarness, receiver: VerifyingReceiver, kept: str
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    [challenge] = await harness.sql("SELECT verification_id AS id FROM webhook_endpoints")
    dispatcher = harness.dispatcher()
    [claim] = await dispatcher.claim(10)
    # The URL changes in the request that deactivates the endpoint: no other challenge is requested.
    await patch(harness, endpoint, url="http://127.0.0.1:1/another", active=False)
    assert [tuple(row) for row in await harness.sql("SELECT verification_id FROM webhook_endpoints")] == [(None,)]
    if kept == "kept":
        await harness.sql("UPDATE webhook_endpoints SET verification_id = $1", challenge["id"])
    async with dispatcher.client() as http:
        result = await dispatcher.attempt(http, claim)
    assert result.error is None
    await dispatcher.record([result])
    assert (await shown(harness, endpoint))["verified_at"] is None
    await patch(harness, endpoint, active=True)
    assert (await shown(harness, endpoint))["verified_at"] is None


async def test_verifications_beyond_the_rate_limit_are_refused(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    for status in (202, 202, 429):
        answer = await post(harness, endpoint, "verification")
        assert answer.status_code == status, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    created = await harness.app.client.post(
        ENDPOINTS,
        json={"url": receiver.url, "event_types": ["appeal.opened"]},
        headers=harness.headers("moderator"),
    )
    assert created.status_code == 429
    assert len(await harness.sql("SELECT FROM webhook_endpoints")) == 1


async def test_deletion_does_not_reset_the_rate_limit(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    headers = harness.headers("moderator")
    for _ in range(3):
        endpoint = await harness.endpoint(receiver.url)
        await number_committed_events(harness.database)
        assert (await harness.app.client.delete(f"{ENDPOINTS}/{endpoint['id']}", headers=headers)).is_success
    body = {"url": receiver.url, "event_types": ["appeal.opened"]}
    assert (await harness.app.client.post(ENDPOINTS, json=body, headers=headers)).status_code == 429


async def test_waiting_deliveries_are_sent_to_a_new_url_only_once_it_is_verified(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await harness.deliver()
    await harness.emit(number=1)
    await harness.fan_out()
    receiver.answers = False
    moved = await patch(harness, endpoint, url=f"{receiver.url}?moved")
    assert moved["verified_at"] is None
    await harness.emit(number=2)
    await harness.fan_out()
    await harness.deliver()
    assert len(await harness.deliveries(status="pending")) == 3
    assert of_type(receiver, "appeal.opened") == []
    receiver.answers = True
    await harness.make_due()
    await harness.deliver()
    await harness.deliver()
    assert sorted(one.json["data"]["number"] for one in of_type(receiver, "appeal.opened")) == [1, 2]
    # A change of another field needs no verification.
    assert (await patch(harness, endpoint, description="Иное"))["verified_at"] is not None


@pytest.mark.parametrize("event", ["activated", "taken over"])
async def test_unverified_endpoint_that_may_receive_again_gets_a_challenge(
    harness: WebhooksHarness, receiver: VerifyingReceiver, event: str
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    if event == "activated":
        await patch(harness, endpoint, active=False)
        assert await harness.deliver() == []
        await patch(harness, endpoint, active=True)
    else:
        await harness.sql("UPDATE people SET active = false")
        assert await harness.deliver() == []
        assert (await shown(harness, endpoint))["suspended_at"] is not None
        assert (await post(harness, endpoint, "take-over")).status_code == 200
    await harness.deliver()
    assert (await shown(harness, endpoint))["verified_at"] is not None
    assert len(receiver.received) == 1


async def test_verification_is_neither_retried_nor_replayed(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await post(harness, endpoint, "verification")
    [former] = await harness.deliveries(status="failed")
    assert former["last_error"] == "another verification was requested"
    headers = harness.headers("moderator")
    retried = await harness.app.client.post(f"/api/v1/webhooks/deliveries/{former['id']}/retry", headers=headers)
    assert (retried.status_code, "request a new one" in retried.json()["detail"]) == (409, True)
    path = f"{ENDPOINTS}/{endpoint['id']}/replay"
    body = {"what": "failed", "since": "2020-01-01T00:00:00Z"}
    assert (await harness.app.client.post(path, json=body, headers=headers)).json()["queued"] == 0
    body = {"what": "event", "event_id": former["event_id"]}
    assert (await harness.app.client.post(path, json=body, headers=headers)).status_code == 404


async def test_endpoint_disabled_after_the_last_attempt_gets_a_challenge_when_activated(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    receiver.answers = False
    endpoint = await harness.endpoint(receiver.url)
    await harness.emit(number=1)
    await harness.fan_out()
    await harness.sql("UPDATE webhook_deliveries SET attempts = 8 WHERE event_type = 'webhook.verification'")
    for active in (True, False):
        await harness.make_due()
        await harness.deliver()
        assert (await shown(harness, endpoint))["active"] is active
    disabled = await shown(harness, endpoint)
    assert disabled["disabled_reason"] == "the receiver did not repeat the challenge"
    assert {row["status"] for row in await harness.deliveries()} == {"failed"}
    receiver.answers = True
    await patch(harness, endpoint, active=True)
    await harness.deliver()
    verified = await shown(harness, endpoint)
    assert (verified["verified_at"] is not None, verified["disabled_reason"]) == (True, None)


async def test_last_attempt_of_a_former_challenge_does_not_disable_the_endpoint(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    receiver.answers = False
    endpoint = await harness.endpoint(receiver.url)
    await harness.sql("UPDATE webhook_deliveries SET attempts = 9")
    dispatcher = harness.dispatcher()
    [claim] = await dispatcher.claim(10)
    await post(harness, endpoint, "verification")
    async with dispatcher.client() as http:
        await dispatcher.record([await dispatcher.attempt(http, claim)])
    assert (await shown(harness, endpoint))["active"] is True


async def test_deliveries_of_an_endpoint_never_verified_fail_after_the_retention_period(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    receiver.answers = False
    await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    await harness.sql("UPDATE webhook_deliveries SET next_attempt_at = now() - interval '31 days'")
    assert await pending_deliveries.fail_held(harness.database, timedelta(days=30)) == 2


async def test_challenge_is_sent_although_the_owner_may_not_read_endpoints(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    school, client_id = await insert_organisation(harness.test_database, name="Школа"), uuid4()
    rights = ["webhooks:manage", "appeals:read"]
    await harness.sql(
        """INSERT INTO api_clients (id, name, role, organisation_id, include_subordinates, scopes, active, version,
           created_at, updated_at) VALUES ($1, 'Сайт школы', 'manager', $2, false, $3, true, 1, now(), now())""",
        client_id,
        school,
        json.dumps(rights),
    )
    made = await harness.app.client.post(
        ENDPOINTS,
        json={"url": receiver.url, "event_types": ["appeal.opened"]},
        headers=of_system(harness, client_id, school, rights),
    )
    assert made.status_code == 201, made.text
    await harness.deliver()
    assert (await shown(harness, made.json()))["verified_at"] is not None


async def test_unverified_endpoint_gets_another_challenge_after_a_long_pause(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await patch(harness, endpoint, paused=True)
    await patch(harness, endpoint, paused=False)
    # After a short pause the challenge is still there.
    assert len(await harness.deliveries()) == 1
    await patch(harness, endpoint, paused=True)
    await harness.sql("UPDATE webhook_deliveries SET next_attempt_at = now() - interval '31 days'")
    assert await pending_deliveries.fail_held(harness.database, timedelta(days=30)) == 1
    await patch(harness, endpoint, paused=False)
    await harness.deliver()
    assert (await shown(harness, endpoint))["verified_at"] is not None
    # A verified endpoint gets no challenge.
    await patch(harness, endpoint, paused=True)
    await patch(harness, endpoint, paused=False)
    assert len(await harness.deliveries()) == 2


async def test_endpoint_whose_challenge_failed_is_disabled_later_if_the_worker_was_killed(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    paused = await harness.endpoint(receiver.url)
    waits = await harness.endpoint(receiver.url)
    await patch(harness, paused, paused=True)
    await harness.sql(
        "UPDATE webhook_deliveries SET status = 'failed' WHERE endpoint_id::text = ANY($1)",
        [endpoint["id"], paused["id"]],
    )
    assert harness.app.service.jobs is not None
    _, job = harness.app.service.jobs.schedules["fail-held-deliveries"]
    for _ in range(2):
        await job()
    found = [await shown(harness, one) for one in (endpoint, paused, waits)]
    assert [one["active"] for one in found] == [False, True, True]
    assert found[0]["disabled_reason"] == "the receiver did not repeat the challenge"
    [row] = await harness.sql("SELECT owner_id FROM webhook_endpoints WHERE id::text = $1", endpoint["id"])
    async with harness.database.read() as session:
        for_letter = await disabling.load_disabled(session, row["owner_id"], UUID(endpoint["id"]))
    assert for_letter is not None
    assert (for_letter.cause, for_letter.failing_since) == ("unverified", None)
    assert len(await harness.sql("SELECT FROM events WHERE type = 'webhook.endpoint_disabled'")) == 1


async def test_endpoint_from_before_the_upgrade_is_verified(
    harness: WebhooksHarness, receiver: VerifyingReceiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    # The former version inserts rows without the column.
    await harness.sql(
        """INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, created_by, owner_id,
            version, created_at, updated_at)
        SELECT gen_random_uuid(), url, 'former', event_types, secret, true, created_by, owner_id, 1, now(), now()
        FROM webhook_endpoints WHERE id = $1::text::uuid""",
        endpoint["id"],
    )
    await harness.emit()
    await harness.fan_out()
    receiver.answers = False
    await harness.deliver()
    assert len(of_type(receiver, "appeal.opened")) == 1


async def test_no_challenge_is_sent_when_none_is_required(
    database: TestDatabase, keys_dir: Path, receiver: VerifyingReceiver
) -> None:
    async with service_under_test("webhooks", database, keys_dir, webhooks_require_verification="false") as app:
        harness = WebhooksHarness(app, database)
        endpoint = await harness.endpoint(receiver.url)
        changed = await patch(harness, endpoint, url=f"{receiver.url}?other")
        assert endpoint["verified_at"] is not None
        assert changed["verified_at"] is not None
        assert await harness.deliver() == []
