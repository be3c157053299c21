"""An endpoint gets only events that its owner may read; when the owner loses the rights it is suspended until
another person becomes the owner.
"""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import clock
from shared.auth import tokens
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.integration.webhooks.test_personal_data_consent import MASKED, SAID, asks, wrote
from tests.support.service_under_test import insert_organisation, service_under_test

ENDPOINTS = "/api/v1/webhooks/endpoints"


async def shown(harness: WebhooksHarness, endpoint: dict[str, Any]) -> dict[str, Any]:
    answer = await harness.app.client.get(f"{ENDPOINTS}/{endpoint['id']}", headers=harness.headers("moderator"))
    found: dict[str, Any] = answer.json()
    return found


async def lose(harness: WebhooksHarness, change: str, role: str, organisation_id: UUID | None = None) -> None:
    """Change a person's access in the database, without the event that registry emits."""
    await harness.sql(f"UPDATE people SET {change} WHERE id = $1", UUID(harness.subject(role, organisation_id)))


LOSSES = {
    "locked": ("locked_at = now()", "its owner no longer has access"),
    "removed": ("active = false", "its owner no longer has access"),
    "another role": ("role = 'approver'", "its owner lacks the right «webhooks:manage» for this organisation"),
    "another organisation": (None, "its owner lacks the right «webhooks:manage» for this organisation"),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_endpoint_is_suspended_when_its_owner_loses_the_rights(
    harness: WebhooksHarness, receiver: Receiver, loss: str
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    change, reason = LOSSES[loss]
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    await lose(harness, change or f"organisation_id = '{clinic}'", "executor", school)
    # Deliveries written before the loss are not sent, and later events create none.
    assert await harness.deliver() == []
    assert (await shown(harness, endpoint))["suspended_reason"] == reason
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    assert await harness.deliver() == []
    assert receiver.received == []
    found = await shown(harness, endpoint)
    assert (found["suspended_reason"], found["suspended_at"] is not None) == (reason, True)
    [delivery] = await harness.deliveries()
    assert (delivery["status"], reason in delivery["last_error"]) == ("failed", True)
    [stored] = await harness.sql(
        "SELECT organisation_id, data::text FROM events WHERE type = 'webhook.endpoint_suspended'"
    )
    assert (stored["organisation_id"], reason in stored["data"]) == (school, True)


async def test_access_event_suspends_endpoint_without_other_events(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url)
    await lose(harness, "locked_at = now()", "moderator")
    await harness.emit("person.changed", None, changed=["locked_at"])
    await harness.fan_out()
    answer = await harness.app.client.get(f"{ENDPOINTS}/{endpoint['id']}", headers=harness.headers("auditor"))
    assert answer.json()["suspended_reason"] == "its owner no longer has access"


async def test_colleague_can_take_over_a_suspended_endpoint(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    await lose(harness, "locked_at = now()", "executor", school)
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    path = f"{ENDPOINTS}/{endpoint['id']}"
    test = await harness.app.client.post(f"{path}/test", headers=harness.headers("manager", school))
    assert (test.status_code, "suspended" in test.json()["detail"]) == (409, True)
    # `webhooks:manage` is not enough: each event type also needs its own right.
    refused = await harness.app.client.post(f"{path}/take-over", headers=harness.headers("operations"))
    assert (refused.status_code, "appeals:read" in refused.json()["detail"]) == (403, True)
    taken = await harness.app.client.post(f"{path}/take-over", headers=harness.headers("manager", school))
    assert (taken.status_code, taken.json()["suspended_at"]) == (200, None)
    assert taken.json()["owner_id"] == harness.subject("manager", school)
    await harness.emit("appeal.opened", school, number=2)
    await harness.fan_out()
    await harness.deliver()
    assert [request.json["data"]["number"] for request in receiver.received] == [2]


@pytest.mark.parametrize("role", ["operations", "narrowed"])
async def test_right_to_manage_webhooks_does_not_give_citizens_texts(
    harness: WebhooksHarness, receiver: Receiver, role: str
) -> None:
    scope = "webhooks:manage webhooks:read registry:read" if role == "narrowed" else None
    token = harness.app.token("moderator" if scope else role, subject=harness.subject("caller"), scope=scope)
    headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
    body = {"url": receiver.url, "event_types": ["page.changed", "appeal.opened"]}
    refused = await harness.app.client.post(ENDPOINTS, json=body, headers=headers)
    assert refused.status_code == 403
    assert refused.json()["errors"] == [
        {"pointer": "/event_types/1", "detail": "«appeal.opened» needs the right «appeals:read»"}
    ]
    assert (
        await harness.app.client.post(ENDPOINTS, json=body | {"event_types": ["page.changed"]}, headers=headers)
    ).status_code == 201
    # Changing the URL of a colleague's endpoint is refused, and its delivery is shown without the payload.
    theirs = await harness.endpoint(receiver.url)
    turned = await harness.app.client.patch(
        f"{ENDPOINTS}/{theirs['id']}", json={"url": f"{receiver.url}?mine"}, headers=headers
    )
    assert turned.status_code == 403
    await harness.emit("appeal.opened")
    await harness.fan_out()
    [delivery] = await harness.deliveries()
    one = await harness.app.client.get(f"/api/v1/webhooks/deliveries/{delivery['id']}", headers=headers)
    assert (one.status_code, one.json()["payload"]) == (200, None)


async def test_change_of_the_url_makes_the_caller_the_owner(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="manager")
    turned = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"url": f"{receiver.url}?mine"},
        headers=harness.headers("executor", school, **{"If-Match": "*"}),
    )
    assert turned.json()["owner_id"] == harness.subject("executor", school)
    await lose(harness, "locked_at = now()", "executor", school)
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    assert (await shown(harness, endpoint))["suspended_at"] is not None


async def test_pending_delivery_unreadable_by_the_new_owner_is_not_sent(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, "appeal.opened")
    await harness.emit("appeal.opened")
    await harness.fan_out()
    headers = harness.headers("operations", **{"If-Match": "*"})
    turned = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}", json={"event_types": ["page.changed"]}, headers=headers
    )
    assert turned.status_code == 200
    assert await harness.deliver() == []
    [delivery] = await harness.deliveries()
    assert delivery["last_error"] == "its owner lacks the right «appeals:read», which «appeal.opened» needs"


async def test_personal_data_is_masked_until_a_manager_consents(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor", personal_data=True)
    assert "webhooks:consent" in endpoint["personal_data_masking_reason"]
    path = f"{ENDPOINTS}/{endpoint['id']}/consent"
    message_id = str(await wrote(harness, school))

    async def sent() -> str:
        await harness.emit("appeal.opened", school, message_id=message_id)
        await harness.fan_out()
        await harness.deliver()
        return str(receiver.received[-1].json["data"]["text"])

    assert await sent() == MASKED
    for role, place, status in (("executor", school, 403), ("operations", None, 403), ("manager", clinic, 404)):
        answer = await harness.app.client.post(path, headers=harness.headers(role, place, **{"If-Match": "*"}))
        assert answer.status_code == status, answer.text
    given = await harness.app.client.post(path, headers=harness.headers("manager", school, **{"If-Match": "*"}))
    assert given.status_code == 200, given.text
    assert (given.json()["consent_by"], given.json()["personal_data_masking_reason"]) == (
        harness.subject("manager", school),
        None,
    )
    assert await sent() == SAID
    trail = await harness.sql("SELECT actor, after::text FROM audit WHERE action = 'consent_to_personal_data'")
    assert [(row["actor"], "consent_by" in row["after"], "consent_at" in row["after"]) for row in trail] == [
        (harness.subject("manager", school), True, True)
    ]
    # A new URL needs a new consent; pending deliveries are masked after a withdrawal.
    turned = await harness.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"url": f"{receiver.url}?other"},
        headers=harness.headers("executor", school, **{"If-Match": "*"}),
    )
    assert turned.json()["consent_by"] is None
    assert await sent() == MASKED
    await harness.app.client.post(path, headers=harness.headers("manager", school, **{"If-Match": "*"}))
    await harness.emit("appeal.opened", school, message_id=message_id)
    await harness.fan_out()
    assert (await harness.app.client.delete(path, headers=harness.headers("manager", school))).status_code == 200
    await harness.deliver()
    assert receiver.received[-1].json["data"]["text"] == MASKED


async def test_personal_data_is_sent_only_to_listed_hosts(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    elsewhere = receiver.url.replace("127.0.0.1", "127.0.0.2")
    assert await asks(harness, elsewhere, "manager", school, personal_data=True) == 422
    assert await asks(harness, receiver.url, "manager", school, personal_data=True) == 201
    await harness.emit("appeal.opened", school, message_id=str(await wrote(harness, school)))
    await harness.fan_out()
    # The operator has removed the host from the list meanwhile.
    await harness.deliver(webhooks_personal_data_hosts=frozenset())
    assert receiver.received[-1].json["data"]["text"] == MASKED


async def test_endpoint_beyond_the_quota_is_refused(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    async with service_under_test(
        "webhooks", harness.test_database, harness.app.keys_dir, webhooks_max_endpoints="2"
    ) as app:
        few = WebhooksHarness(app, harness.test_database)
        for _ in range(2):
            await few.endpoint(receiver.url, organisation_id=school, role="executor")
        refused = await app.client.post(
            ENDPOINTS,
            json={"url": receiver.url, "event_types": ["appeal.opened"]},
            headers=few.headers("manager", school),
        )
        assert (refused.status_code, "GOSPABLIK_WEBHOOKS_MAX_ENDPOINTS" in refused.json()["detail"]) == (409, True)
        await few.endpoint(receiver.url)


async def test_test_deliveries_beyond_the_quota_are_refused(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    first = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    other = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    headers = harness.headers("executor", school)
    for left in range(9, -1, -1):
        sent = await harness.app.client.post(f"{ENDPOINTS}/{first['id']}/test", headers=headers)
        assert (sent.status_code, f'"webhook-tests";r={left};t=60' in sent.headers["ratelimit"]) == (202, True)
    # The limit is per organisation, not per endpoint.
    refused = await harness.app.client.post(f"{ENDPOINTS}/{other['id']}/test", headers=headers)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert '"webhook-tests";q=10;w=60' in refused.headers["ratelimit-policy"]
    assert len(await harness.deliveries(event_type="webhook.test")) == 10
    await harness.sql("UPDATE events SET created_at = $1::timestamptz - interval '61 seconds'", clock.now())
    assert (await harness.app.client.post(f"{ENDPOINTS}/{other['id']}/test", headers=headers)).status_code == 202


def of_system(
    harness: WebhooksHarness, client_id: UUID, organisation_id: UUID, rights: list[str]
) -> dict[str, str]:
    """Return request headers of an API client with these rights. `WebhooksHarness.headers` are a person's."""
    people = tokens.read_key(harness.app.keys_dir / "people.jwk")
    token = tokens.Signer(tokens.PEOPLE_ISSUER, people).sign(
        str(client_id),
        tokens.PEOPLE_AUDIENCE,
        timedelta(minutes=5),
        role="manager",
        org=str(organisation_id),
        scope=" ".join(rights),
    )
    return {"Authorization": f"Bearer {token}"}


async def test_consent_is_refused_for_an_endpoint_that_changed_since_it_was_seen(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    endpoint = await harness.endpoint(receiver.url, organisation_id=school, role="executor", personal_data=True)
    path = f"{ENDPOINTS}/{endpoint['id']}"
    manager = harness.headers("manager", school)
    seen = (await harness.app.client.get(path, headers=manager)).headers["ETag"]
    turned = await harness.app.client.patch(
        path,
        json={"url": f"{receiver.url}?other"},
        headers=harness.headers("executor", school, **{"If-Match": "*"}),
    )
    for condition, status in (({}, 428), ({"If-Match": seen}, 412), ({"If-Match": turned.headers["ETag"]}, 200)):
        answer = await harness.app.client.post(f"{path}/consent", headers=manager | condition)
        assert answer.status_code == status, answer.text
        shown = (await harness.app.client.get(path, headers=manager)).json()
        assert (shown["consent_at"] is not None) == (status == 200)


async def test_client_gets_personal_data_with_consent_while_it_may_read_messages(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    client_id = uuid4()
    rights = ["webhooks:manage", "webhooks:read", "webhooks:consent", "appeals:read", "messages:read"]
    await harness.sql(
        """INSERT INTO api_clients (id, name, role, organisation_id, include_subordinates, scopes, active, version,
           created_at, updated_at) VALUES ($1, 'Сайт школы', 'manager', $2, false, $3, true, 1, now(), now())""",
        client_id,
        school,
        json.dumps(rights),
    )
    system = of_system(harness, client_id, school, rights)
    body = {"url": receiver.url, "event_types": ["appeal.opened"], "personal_data": True}
    made = await harness.app.client.post(ENDPOINTS, json=body, headers=system)
    assert (made.status_code, made.json()["consent_by"]) == (201, None), made.text
    path = f"{ENDPOINTS}/{made.json()['id']}/consent"
    assert (await harness.app.client.post(path, headers=system | {"If-Match": "*"})).status_code == 403
    message_id = str(await wrote(harness, school))

    async def sent() -> str:
        await harness.emit("appeal.opened", school, message_id=message_id)
        await harness.fan_out()
        await harness.deliver()
        return str(receiver.received[-1].json["data"]["text"])

    assert await sent() == MASKED
    given = await harness.app.client.post(path, headers=harness.headers("manager", school, **{"If-Match": "*"}))
    assert given.status_code == 200, given.text
    assert await sent() == SAID
    await harness.sql("UPDATE api_clients SET scopes = scopes - 'messages:read' WHERE id = $1", client_id)
    assert await sent() == MASKED
    assert len(receiver.received) == 3


async def test_personal_data_is_masked_after_owner_moves_to_parent_organisation(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    district = await insert_organisation(harness.test_database, name="Район")
    await harness.sql("UPDATE organisations SET parent_id = $1 WHERE id = $2", district, school)
    await harness.endpoint(receiver.url, organisation_id=school, role="manager", personal_data=True)
    message_id = str(await wrote(harness, school))
    await lose(harness, f"organisation_id = '{district}', include_subordinates = true", "manager", school)
    await harness.emit("appeal.opened", school, message_id=message_id)
    await harness.fan_out()
    await harness.deliver()
    assert [request.json["data"]["text"] for request in receiver.received] == [MASKED]
