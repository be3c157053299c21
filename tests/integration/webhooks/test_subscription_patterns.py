"""Endpoints that subscribe to all types of a subject."""

import pytest

from services.webhooks.event_catalogue import catalogue
from tests.integration.webhooks.conftest import Receiver, WebhooksHarness
from tests.support.service_under_test import insert_organisation


async def test_all_types_of_a_subject_are_sent(harness: WebhooksHarness, receiver: Receiver) -> None:
    endpoint = await harness.endpoint(receiver.url, "appeal.*", "page.closed")
    assert endpoint["event_types"] == ["appeal.*", "page.closed"]
    await harness.emit_all([(kind, None) for kind in ("appeal.opened", "appeal.answered", "reply.failed")])
    await harness.emit("page.closed")
    await harness.fan_out()
    kinds = [delivery["event_type"] for delivery in await harness.deliveries()]
    assert sorted(kinds) == ["appeal.answered", "appeal.opened", "page.closed"]


async def test_event_type_added_by_a_later_version_is_sent(
    harness: WebhooksHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The endpoint was created by a version without this event type.
    known = [kind for kind in catalogue.WebhookEventType if kind != "appeal.answered"]
    with monkeypatch.context() as earlier:
        earlier.setattr(catalogue, "WebhookEventType", known)
        await harness.endpoint(receiver.url, "appeal.*")
        await harness.emit("appeal.answered")
        await harness.fan_out()
        assert await harness.deliveries() == []
    await harness.emit("appeal.answered")
    await harness.fan_out()
    assert [delivery["event_type"] for delivery in await harness.deliveries()] == ["appeal.answered"]


async def test_pattern_with_a_type_without_its_right_is_refused(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    school = await insert_organisation(harness.test_database, name="Школа")
    body = {"url": receiver.url, "event_types": ["appeal.opened", "alert.*"]}
    answer = await harness.app.client.post(
        "/api/v1/webhooks/endpoints", json=body, headers=harness.headers("manager", school)
    )
    assert answer.status_code == 403, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/event_types/1"]
    assert "«alert.raised» needs the right" in answer.json()["detail"]


@pytest.mark.parametrize("unknown", ["appeals.*", "*", "appeal.open*", "client.*"])
async def test_unknown_pattern_is_refused_naming_its_index(
    harness: WebhooksHarness, receiver: Receiver, unknown: str
) -> None:
    body = {"url": receiver.url, "event_types": ["appeal.*", unknown]}
    answer = await harness.app.client.post(
        "/api/v1/webhooks/endpoints", json=body, headers=harness.headers("moderator")
    )
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/event_types/1"]


async def test_endpoint_is_suspended_when_its_owner_loses_the_right_of_one_type(
    harness: WebhooksHarness, receiver: Receiver
) -> None:
    endpoint = await harness.endpoint(receiver.url, "source.*")
    subject = harness.subject("moderator")
    await harness.sql("UPDATE people SET role = 'head' WHERE id = $1::text::uuid", subject)
    await harness.emit("person.changed")
    await harness.fan_out()
    answer = await harness.app.client.get(
        f"/api/v1/webhooks/endpoints/{endpoint['id']}", headers=harness.headers("operations")
    )
    assert "lacks the right" in answer.json()["suspended_reason"], answer.text
