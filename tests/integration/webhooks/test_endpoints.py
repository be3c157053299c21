"""Endpoints and deliveries over the API: secrets, versions, scope, invalid input."""

from typing import Any
from uuid import uuid4

import jsonschema
import pytest
import standardwebhooks

from services.webhooks.event_catalogue.catalogue import WebhookEventType
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.service_under_test import insert_organisation

ENDPOINTS = "/api/v1/webhooks/endpoints"


async def test_secret_is_shown_once_and_stored_encrypted(harness: WebhooksHarness, receiver: Receiver) -> None:
    made = await harness.endpoint(receiver.url)
    assert made["secret"].startswith("whsec_")
    headers = harness.headers("moderator")
    item = await harness.app.client.get(f"{ENDPOINTS}/{made['id']}", headers=headers)
    assert item.headers["etag"].startswith('"1-')
    listed = (await harness.app.client.get(ENDPOINTS, headers=headers)).json()["items"]
    shown = item.json()
    assert shown.pop("health")["state"] == "ok"
    assert listed == [shown]
    assert "secret" not in shown
    [row] = await harness.sql("SELECT secret FROM webhook_endpoints")
    assert made["secret"].encode() not in row["secret"]
    assert made["secret"].removeprefix("whsec_").encode() not in row["secret"]


async def test_repeated_request_creates_one_endpoint_and_stores_no_secret(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    headers = harness.headers("moderator", **{"Idempotency-Key": "first"})
    body = {"url": receiver.url, "event_types": ["appeal.opened"]}
    first = await harness.app.client.post(ENDPOINTS, json=body, headers=headers)
    again = await harness.app.client.post(ENDPOINTS, json=body, headers=headers)
    assert first.json() | {"secret": None} == again.json()
    assert again.headers["idempotent-replay"] == "true"
    [row] = await harness.sql("SELECT body::text FROM webhooks_idempotency")
    assert "whsec_" not in row["body"]
    other = await harness.app.client.post(ENDPOINTS, json=body | {"description": "другое"}, headers=headers)
    assert other.status_code == 422
    assert len(await harness.sql("SELECT 1 FROM webhook_endpoints")) == 1


async def test_change_with_stale_version_is_refused(harness: WebhooksHarness, receiver: Receiver) -> None:
    made = await harness.endpoint(receiver.url)
    path = f"{ENDPOINTS}/{made['id']}"
    headers = harness.headers("moderator")
    change = {"event_types": ["appeal.answered", "appeal.answered"], "description": "Приёмная"}
    assert (await harness.app.client.patch(path, json=change, headers=headers)).status_code == 428
    changed = await harness.app.client.patch(path, json=change, headers=headers | {"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["event_types"] == ["appeal.answered"]
    assert changed.json()["url"] == receiver.url
    stale = await harness.app.client.patch(path, json={"active": False}, headers=headers | {"If-Match": '"1"'})
    assert stale.status_code == 412
    gone = await harness.app.client.delete(path, headers=headers)
    assert gone.status_code == 204
    assert (await harness.app.client.get(path, headers=headers)).status_code == 404


async def test_deactivation_fails_pending_deliveries_and_deletion_removes_them(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    made = await harness.endpoint(receiver.url)
    await harness.emit()
    await harness.fan_out()
    path = f"{ENDPOINTS}/{made['id']}"
    headers = harness.headers("moderator", **{"If-Match": "*"})
    off = await harness.app.client.patch(path, json={"active": False}, headers=headers)
    assert off.json()["active"] is False
    [delivery] = await harness.deliveries()
    assert (delivery["status"], delivery["last_error"]) == ("failed", "the endpoint was deactivated")
    assert (await harness.app.client.post(f"{path}/test", headers=headers)).status_code == 409
    assert (await harness.app.client.delete(path, headers=headers)).status_code == 204
    assert await harness.deliveries() == []


async def test_test_delivery_after_rotation_is_signed_with_both_secrets(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    made = await harness.endpoint(receiver.url)
    path = f"{ENDPOINTS}/{made['id']}"
    headers = harness.headers("moderator")
    rotated = await harness.app.client.post(f"{path}/rotate-secret", headers=headers)
    assert rotated.json()["secret"] not in {None, made["secret"]}
    again = await harness.app.client.post(f"{path}/rotate-secret", headers=headers | {"If-Match": '"1"'})
    assert (again.status_code, again.headers["ETag"]) == (412, rotated.headers["ETag"])
    sent = await harness.app.client.post(f"{path}/test", headers=headers)
    assert (sent.status_code, sent.json()["event_type"]) == (202, "webhook.test")
    await harness.deliver()
    [request] = receiver.received
    assert request.json["data"] == {"endpoint_id": made["id"]}
    assert request.id == sent.json()["event_id"]
    for secret in (made["secret"], rotated.json()["secret"]):
        standardwebhooks.Webhook(secret).verify(request.body, request.headers)
    item = await harness.app.client.get(f"/api/v1/webhooks/deliveries/{sent.json()['id']}", headers=headers)
    assert (item.json()["status"], item.json()["payload"]) == ("delivered", request.json)


async def test_old_secret_kept_for_zero_hours_no_longer_signs(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    made = await harness.endpoint(receiver.url)
    path = f"{ENDPOINTS}/{made['id']}"
    headers = harness.headers("moderator")
    for body, pointer in (
        ({"keep_old_hours": 169}, "/keep_old_hours"),
        ({"keep_old_hours": -1}, "/keep_old_hours"),
        ({"keep_old_days": 1}, "/keep_old_days"),
    ):
        refused = await harness.app.client.post(f"{path}/rotate-secret", json=body, headers=headers)
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    rotated = await harness.app.client.post(f"{path}/rotate-secret", json={"keep_old_hours": 0}, headers=headers)
    await harness.app.client.post(f"{path}/test", headers=headers)
    await harness.deliver()
    [request] = receiver.received
    standardwebhooks.Webhook(rotated.json()["secret"]).verify(request.body, request.headers)
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
        standardwebhooks.Webhook(made["secret"]).verify(request.body, request.headers)


async def test_endpoints_of_other_organisations_are_404(harness: WebhooksHarness, receiver: Receiver) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    clinic = await insert_organisation(harness.test_database, name="Больница")
    await harness.endpoint(receiver.url)
    of_school = await harness.endpoint(receiver.url, organisation_id=school, role="executor")
    await harness.emit("appeal.opened", school)
    await harness.fan_out()
    foreign = harness.headers("executor", clinic, **{"If-Match": "*"})
    own = harness.headers("executor", school)
    [delivery] = (await harness.app.client.get("/api/v1/webhooks/deliveries", headers=own)).json()["items"]
    assert delivery["endpoint_id"] == of_school["id"]
    path = f"{ENDPOINTS}/{of_school['id']}"
    for method, target in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate-secret"),
        ("POST", f"{path}/test"),
        ("GET", f"/api/v1/webhooks/deliveries/{delivery['id']}"),
        ("POST", f"/api/v1/webhooks/deliveries/{delivery['id']}/retry"),
    ):
        body = {"active": False} if method == "PATCH" else None
        answer = await harness.app.client.request(method, target, json=body, headers=foreign)
        assert answer.status_code == 404, (method, target, answer.text)
    for target in (ENDPOINTS, "/api/v1/webhooks/deliveries"):
        assert (await harness.app.client.get(target, headers=foreign)).json()["items"] == []
    assert (
        len((await harness.app.client.get(ENDPOINTS, headers=harness.headers("moderator"))).json()["items"]) == 2
    )


async def test_lists_are_filtered_and_paged(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url, "appeal.opened", "appeal.closed")
    other = await harness.endpoint(receiver.url, "appeal.opened")
    for _ in range(3):
        await harness.emit("appeal.opened")
    await harness.emit("appeal.closed")
    await harness.fan_out()
    assert len(await harness.deliveries(endpoint_id=endpoint["id"])) == 4
    assert len(await harness.deliveries(endpoint_id=other["id"])) == 3
    assert len(await harness.deliveries(event_type="appeal.closed")) == 1
    assert len(await harness.deliveries(status="failed")) == 0
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = (
            await harness.app.client.get(
                "/api/v1/webhooks/deliveries", params=query, headers=harness.headers("moderator")
            )
        ).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"event_types": ["appeal.opened"]}, "/url"),
        ({"url": "", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://10.0.0.1/", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://0x0a.1/", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://[::1]/", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://169.254.169.254/latest", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://nowhere.invalid/", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "ftp://127.0.0.1/", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://u:p@127.0.0.1/", "event_types": ["appeal.opened"]}, "/url"),
        ({"url": "http://127.0.0.1/", "event_types": []}, "/event_types"),
        ({"url": "http://127.0.0.1/", "event_types": ["appeal.lost"]}, "/event_types/0"),
        ({"url": "http://127.0.0.1/", "event_types": ["appeal.opened"], "description": "\x00"}, "/description"),
        ({"url": "http://127.0.0.1/", "event_types": ["appeal.opened"], "secret": "x"}, "/secret"),
    ],
)
async def test_invalid_endpoint_is_refused_naming_the_field(
    harness: WebhooksHarness, body: dict[str, Any], pointer: str
) -> None:
    answer = await harness.app.client.post(ENDPOINTS, json=body, headers=harness.headers("moderator"))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await harness.sql("SELECT 1 FROM webhook_endpoints") == []


async def test_invalid_change_is_refused(harness: WebhooksHarness, receiver: Receiver) -> None:
    made = await harness.endpoint(receiver.url)
    path = f"{ENDPOINTS}/{made['id']}"
    headers = harness.headers("moderator", **{"If-Match": '"1"'})
    for body, pointer in (
        ({"url": "http://192.168.0.1/"}, "/url"),
        ({"url": None}, "/url"),
        ({"active": "perhaps"}, "/active"),
        ({"organisation_id": str(uuid4())}, "/organisation_id"),
    ):
        answer = await harness.app.client.patch(path, json=body, headers=headers)
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    headers["If-Match"] = '"x"'
    assert (await harness.app.client.patch(path, json={}, headers=headers)).status_code == 422
    assert (await harness.app.client.get(path, headers=headers)).json()["version"] == 1


async def test_http_url_is_refused_in_production(
    harness: WebhooksHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.app.service.settings, "environment", "production")
    body = {"url": "http://127.0.0.1/", "event_types": ["appeal.opened"]}
    answer = await harness.app.client.post(ENDPOINTS, json=body, headers=harness.headers("moderator"))
    assert answer.status_code == 422
    assert "https" in answer.json()["errors"][0]["detail"]


async def test_routes_refuse_callers_without_their_rights(harness: WebhooksHarness) -> None:
    for path in (ENDPOINTS, "/api/v1/webhooks/deliveries", "/api/v1/webhooks/event-types", "/api/v1/events"):
        assert (await harness.app.client.get(path)).status_code == 401
        assert (await harness.app.client.get(path, headers=harness.headers("head"))).status_code == 403
    assert (
        await harness.app.client.get("/api/v1/events", headers=harness.headers("operations"))
    ).status_code == 403


async def test_published_examples_are_valid_by_the_published_schemas(harness: WebhooksHarness) -> None:
    found = await harness.app.client.get("/api/v1/webhooks/event-types", headers=harness.headers("operations"))
    items = {item["type"]: item for item in found.json()["items"]}
    assert set(items) == {*WebhookEventType, "webhook.test", "webhook.verification"}
    for item in items.values():
        # A reference to anything outside the schema would be refused.
        jsonschema.Draft202012Validator(item["schema"]).validate(item["example"])
    assert items["appeal.closed"]["example"]["data"]["outcome"] == "solved"
    assert "on_time" in items["appeal.answered"]["schema"]["$defs"]["AppealAnswered"]["properties"]


async def test_openapi_document_contains_the_rotation_of_secrets(harness: WebhooksHarness) -> None:
    document = (await harness.app.client.get("/openapi.json")).json()
    assert "/api/v1/webhooks/endpoints/{endpoint_id}/rotate-secret" in document["paths"]
