"""An endpoint gets what its owner may read now; without the rights it is suspended until somebody
takes it over.
"""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import clock
from shared.auth import tokens
from tests.integration.webhooks.conftest import Hooks, Receiver
from tests.integration.webhooks.test_personal_data_consent import MASKED, SAID, asks, wrote
from tests.support.service_under_test import insert_organisation, service_under_test

ENDPOINTS = "/api/v1/webhooks/endpoints"


async def shown(hooks: Hooks, endpoint: dict[str, Any]) -> dict[str, Any]:
    answer = await hooks.app.client.get(f"{ENDPOINTS}/{endpoint['id']}", headers=hooks.headers("moderator"))
    found: dict[str, Any] = answer.json()
    return found


async def lose(hooks: Hooks, change: str, role: str, organisation_id: UUID | None = None) -> None:
    """Write the event that registry emits when somebody's access changes."""
    await hooks.sql(f"UPDATE people SET {change} WHERE id = $1", UUID(hooks.subject(role, organisation_id)))


LOSSES = {
    "locked": ("locked_at = now()", "its owner no longer has access"),
    "removed": ("active = false", "its owner no longer has access"),
    "another role": ("role = 'approver'", "its owner lacks the right «webhooks:manage» for this organisation"),
    "another organisation": (None, "its owner lacks the right «webhooks:manage» for this organisation"),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_endpoint_is_suspended_when_its_owner_loses_the_rights(
    hooks: Hooks, receiver: Receiver, loss: str
) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    clinic = await insert_organisation(hooks.test_database, name="Больница")
    endpoint = await hooks.endpoint(receiver.url, organisation_id=school, role="executor")
    change, reason = LOSSES[loss]
    await hooks.emit("appeal.opened", school)
    await hooks.fan_out()
    await lose(hooks, change or f"organisation_id = '{clinic}'", "executor", school)
    # Deliveries written before the loss are not sent, and later events create none.
    assert await hooks.deliver() == []
    assert (await shown(hooks, endpoint))["suspended_reason"] == reason
    await hooks.emit("appeal.opened", school)
    await hooks.fan_out()
    assert await hooks.deliver() == []
    assert receiver.received == []
    found = await shown(hooks, endpoint)
    assert (found["suspended_reason"], found["suspended_at"] is not None) == (reason, True)
    [delivery] = await hooks.deliveries()
    assert (delivery["status"], reason in delivery["last_error"]) == ("failed", True)
    [told] = await hooks.sql(
        "SELECT organisation_id, data::text FROM events WHERE type = 'webhook.endpoint_suspended'"
    )
    assert (told["organisation_id"], reason in told["data"]) == (school, True)


async def test_access_event_suspends_endpoint_without_other_events(hooks: Hooks, receiver: Receiver) -> None:
    endpoint = await hooks.endpoint(receiver.url)
    await lose(hooks, "locked_at = now()", "moderator")
    await hooks.emit("person.changed", None, changed=["locked_at"])
    await hooks.fan_out()
    answer = await hooks.app.client.get(f"{ENDPOINTS}/{endpoint['id']}", headers=hooks.headers("auditor"))
    assert answer.json()["suspended_reason"] == "its owner no longer has access"


async def test_colleague_can_take_over_suspended_endpoint(hooks: Hooks, receiver: Receiver) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    endpoint = await hooks.endpoint(receiver.url, organisation_id=school, role="executor")
    await lose(hooks, "locked_at = now()", "executor", school)
    await hooks.emit("appeal.opened", school)
    await hooks.fan_out()
    path = f"{ENDPOINTS}/{endpoint['id']}"
    test = await hooks.app.client.post(f"{path}/test", headers=hooks.headers("manager", school))
    assert (test.status_code, "suspended" in test.json()["detail"]) == (409, True)
    # `webhooks:manage` is not enough: each event type needs its own right.
    refused = await hooks.app.client.post(f"{path}/take-over", headers=hooks.headers("operations"))
    assert (refused.status_code, "appeals:read" in refused.json()["detail"]) == (403, True)
    taken = await hooks.app.client.post(f"{path}/take-over", headers=hooks.headers("manager", school))
    assert (taken.status_code, taken.json()["suspended_at"]) == (200, None)
    assert taken.json()["owner_id"] == hooks.subject("manager", school)
    await hooks.emit("appeal.opened", school, number=2)
    await hooks.fan_out()
    await hooks.deliver()
    assert [request.json["data"]["number"] for request in receiver.received] == [2]


@pytest.mark.parametrize("role", ["operations", "narrowed"])
async def test_right_to_manage_webhooks_does_not_give_citizens_texts(
    hooks: Hooks, receiver: Receiver, role: str
) -> None:
    scope = "webhooks:manage webhooks:read registry:read" if role == "narrowed" else None
    token = hooks.app.token("moderator" if scope else role, subject=hooks.subject("caller"), scope=scope)
    headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
    body = {"url": receiver.url, "event_types": ["page.changed", "appeal.opened"]}
    refused = await hooks.app.client.post(ENDPOINTS, json=body, headers=headers)
    assert refused.status_code == 403
    assert refused.json()["errors"] == [
        {"pointer": "/event_types/1", "detail": "«appeal.opened» needs the right «appeals:read»"}
    ]
    assert (
        await hooks.app.client.post(ENDPOINTS, json=body | {"event_types": ["page.changed"]}, headers=headers)
    ).status_code == 201
    # Nor by changing the URL of a colleague's endpoint, nor by reading its deliveries.
    theirs = await hooks.endpoint(receiver.url)
    turned = await hooks.app.client.patch(
        f"{ENDPOINTS}/{theirs['id']}", json={"url": f"{receiver.url}?mine"}, headers=headers
    )
    assert turned.status_code == 403
    await hooks.emit("appeal.opened")
    await hooks.fan_out()
    [delivery] = await hooks.deliveries()
    one = await hooks.app.client.get(f"/api/v1/webhooks/deliveries/{delivery['id']}", headers=headers)
    assert (one.status_code, one.json()["payload"]) == (200, None)


async def test_changing_the_url_makes_the_caller_owner(hooks: Hooks, receiver: Receiver) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    endpoint = await hooks.endpoint(receiver.url, organisation_id=school, role="manager")
    turned = await hooks.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"url": f"{receiver.url}?mine"},
        headers=hooks.headers("executor", school, **{"If-Match": "*"}),
    )
    assert turned.json()["owner_id"] == hooks.subject("executor", school)
    await lose(hooks, "locked_at = now()", "executor", school)
    await hooks.emit("appeal.opened", school)
    await hooks.fan_out()
    assert (await shown(hooks, endpoint))["suspended_at"] is not None


async def test_pending_delivery_unreadable_by_the_new_owner_is_not_sent(hooks: Hooks, receiver: Receiver) -> None:
    endpoint = await hooks.endpoint(receiver.url, "appeal.opened")
    await hooks.emit("appeal.opened")
    await hooks.fan_out()
    headers = hooks.headers("operations", **{"If-Match": "*"})
    turned = await hooks.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}", json={"event_types": ["page.changed"]}, headers=headers
    )
    assert turned.status_code == 200
    assert await hooks.deliver() == []
    [delivery] = await hooks.deliveries()
    assert delivery["last_error"] == "its owner lacks the right «appeals:read», which «appeal.opened» needs"


async def test_personal_data_is_masked_until_a_manager_consents(hooks: Hooks, receiver: Receiver) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    clinic = await insert_organisation(hooks.test_database, name="Больница")
    endpoint = await hooks.endpoint(receiver.url, organisation_id=school, role="executor", personal_data=True)
    assert "webhooks:consent" in endpoint["personal_data_masking_reason"]
    path = f"{ENDPOINTS}/{endpoint['id']}/consent"
    message_id = str(await wrote(hooks, school))

    async def sent() -> str:
        await hooks.emit("appeal.opened", school, message_id=message_id)
        await hooks.fan_out()
        await hooks.deliver()
        return str(receiver.received[-1].json["data"]["text"])

    assert await sent() == MASKED
    for role, place, status in (("executor", school, 403), ("operations", None, 403), ("manager", clinic, 404)):
        answer = await hooks.app.client.post(path, headers=hooks.headers(role, place))
        assert answer.status_code == status, answer.text
    given = await hooks.app.client.post(path, headers=hooks.headers("manager", school))
    assert given.status_code == 200, given.text
    assert (given.json()["consent_by"], given.json()["personal_data_masking_reason"]) == (
        hooks.subject("manager", school),
        None,
    )
    assert await sent() == SAID
    trail = await hooks.sql("SELECT actor, after::text FROM audit WHERE action = 'consent_to_personal_data'")
    assert [(row["actor"], "consent_by" in row["after"], "consent_at" in row["after"]) for row in trail] == [
        (hooks.subject("manager", school), True, True)
    ]
    # A new URL needs a new consent; pending deliveries are masked after a withdrawal.
    turned = await hooks.app.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}",
        json={"url": f"{receiver.url}?other"},
        headers=hooks.headers("executor", school, **{"If-Match": "*"}),
    )
    assert turned.json()["consent_by"] is None
    assert await sent() == MASKED
    await hooks.app.client.post(path, headers=hooks.headers("manager", school))
    await hooks.emit("appeal.opened", school, message_id=message_id)
    await hooks.fan_out()
    assert (await hooks.app.client.delete(path, headers=hooks.headers("manager", school))).status_code == 200
    await hooks.deliver()
    assert receiver.received[-1].json["data"]["text"] == MASKED


async def test_personal_data_is_sent_only_to_listed_hosts(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    elsewhere = receiver.url.replace("127.0.0.1", "127.0.0.2")
    assert await asks(hooks, elsewhere, "manager", school, personal_data=True) == 422
    assert await asks(hooks, receiver.url, "manager", school, personal_data=True) == 201
    await hooks.emit("appeal.opened", school, message_id=str(await wrote(hooks, school)))
    await hooks.fan_out()
    # The operator has removed the host from the list meanwhile.
    await hooks.deliver(webhooks_personal_data_hosts=frozenset())
    assert receiver.received[-1].json["data"]["text"] == MASKED


async def test_endpoint_beyond_the_quota_is_refused(hooks: Hooks, receiver: Receiver) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    async with service_under_test(
        "webhooks", hooks.test_database, hooks.app.keys_dir, webhooks_max_endpoints="2"
    ) as app:
        few = Hooks(app, hooks.test_database)
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
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    first = await hooks.endpoint(receiver.url, organisation_id=school, role="executor")
    other = await hooks.endpoint(receiver.url, organisation_id=school, role="executor")
    headers = hooks.headers("executor", school)
    for left in range(9, -1, -1):
        sent = await hooks.app.client.post(f"{ENDPOINTS}/{first['id']}/test", headers=headers)
        assert (sent.status_code, f'"webhook-tests";r={left};t=60' in sent.headers["ratelimit"]) == (202, True)
    # The limit is per organisation, not per endpoint.
    refused = await hooks.app.client.post(f"{ENDPOINTS}/{other['id']}/test", headers=headers)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert '"webhook-tests";q=10;w=60' in refused.headers["ratelimit-policy"]
    assert len(await hooks.deliveries(event_type="webhook.test")) == 10
    await hooks.sql(
        "UPDATE webhook_deliveries SET created_at = $1::timestamptz - interval '61 seconds'", clock.now()
    )
    assert (await hooks.app.client.post(f"{ENDPOINTS}/{other['id']}/test", headers=headers)).status_code == 202


def of_system(hooks: Hooks, client_id: UUID, organisation_id: UUID, rights: list[str]) -> dict[str, str]:
    """Return request headers of an API client with these rights. `Hooks.headers` would register it as a person."""
    people = tokens.read_key(hooks.app.keys_dir / "people.jwk")
    token = tokens.Signer(tokens.PEOPLE_ISSUER, people).sign(
        str(client_id),
        tokens.PEOPLE_AUDIENCE,
        timedelta(minutes=5),
        role="manager",
        org=str(organisation_id),
        scope=" ".join(rights),
    )
    return {"Authorization": f"Bearer {token}"}


async def test_client_gets_personal_data_with_consent_while_it_may_read_messages(
    hooks: Hooks, receiver: Receiver
) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    client_id = uuid4()
    rights = ["webhooks:manage", "webhooks:read", "webhooks:consent", "appeals:read", "messages:read"]
    await hooks.sql(
        """INSERT INTO api_clients (id, name, role, organisation_id, include_subordinates, scopes, active, version,
           created_at, updated_at) VALUES ($1, 'Сайт школы', 'manager', $2, false, $3, true, 1, now(), now())""",
        client_id,
        school,
        json.dumps(rights),
    )
    system = of_system(hooks, client_id, school, rights)
    body = {"url": receiver.url, "event_types": ["appeal.opened"], "personal_data": True}
    made = await hooks.app.client.post(ENDPOINTS, json=body, headers=system)
    assert (made.status_code, made.json()["consent_by"]) == (201, None), made.text
    path = f"{ENDPOINTS}/{made.json()['id']}/consent"
    assert (await hooks.app.client.post(path, headers=system)).status_code == 403
    message_id = str(await wrote(hooks, school))

    async def sent() -> str:
        await hooks.emit("appeal.opened", school, message_id=message_id)
        await hooks.fan_out()
        await hooks.deliver()
        return str(receiver.received[-1].json["data"]["text"])

    assert await sent() == MASKED
    given = await hooks.app.client.post(path, headers=hooks.headers("manager", school))
    assert given.status_code == 200, given.text
    assert await sent() == SAID
    await hooks.sql("UPDATE api_clients SET scopes = scopes - 'messages:read' WHERE id = $1", client_id)
    assert await sent() == MASKED
    assert len(receiver.received) == 3


async def test_personal_data_is_masked_after_owner_moves_to_parent_organisation(
    hooks: Hooks, receiver: Receiver
) -> None:
    school = await insert_organisation(hooks.test_database, name="Школа")
    district = await insert_organisation(hooks.test_database, name="Район")
    await hooks.sql("UPDATE organisations SET parent_id = $1 WHERE id = $2", district, school)
    await hooks.endpoint(receiver.url, organisation_id=school, role="manager", personal_data=True)
    message_id = str(await wrote(hooks, school))
    await lose(hooks, f"organisation_id = '{district}', include_subordinates = true", "manager", school)
    await hooks.emit("appeal.opened", school, message_id=message_id)
    await hooks.fan_out()
    await hooks.deliver()
    assert [request.json["data"]["text"] for request in receiver.received] == [MASKED]
