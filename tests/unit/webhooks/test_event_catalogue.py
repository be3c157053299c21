"""The event catalogue: schemas and examples of deliveries, and fields that are not sent."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import pytest

from services.webhooks.event_catalogue.catalogue import (
    CATALOGUE,
    WebhookEventType,
    delivery_body_of_event,
)
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import FeedOnly
from shared.tables.common import Event
from tests.support.sample_events import sample_data

NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)
SCHOOL = UUID("0198f3a0-0000-7000-8000-000000000001")


def stored_event(name: str, **changes: Any) -> Event:
    data = sample_data(name, **changes).to_stored()
    return Event(id=uuid4(), type=name, subject_id=uuid4(), organisation_id=SCHOOL, occurred_at=NOW, data=data)


def references(schema: Any) -> Iterator[str]:
    """Return the targets of every `$ref` in a schema."""
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_schema_is_self_contained(name: str) -> None:
    schema = dict(CATALOGUE[name].json_schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(references(schema)) <= {f"#/$defs/{definition}" for definition in schema["$defs"]}
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_example_is_valid_by_the_schema(name: str) -> None:
    entry = CATALOGUE[name]
    validator = jsonschema.Draft202012Validator(
        entry.json_schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(json.loads(json.dumps(entry.example)))
    declared = entry.json_schema["$defs"][entry.data.__name__]["properties"]
    assert set(entry.example["data"]) <= set(declared)


@pytest.mark.parametrize("name", list(WebhookEventType))
def test_delivery_of_the_stored_example_is_valid_by_the_schema(name: str) -> None:
    body = delivery_body_of_event(stored_event(name), {SCHOOL: "Школа № 1"})
    jsonschema.Draft202012Validator(CATALOGUE[name].json_schema).validate(body)
    assert body["type"] == name
    assert body["timestamp"] == "2026-11-25T04:00:00+00:00"
    assert body["data"]["organisation"] == {"id": str(SCHOOL), "name": "Школа № 1"}


@pytest.mark.parametrize("name", list(WebhookEventType))
def test_undeclared_and_feed_only_fields_are_not_sent(name: str) -> None:
    event = stored_event(name)
    event.data |= {"text": "Мой телефон 8-900", "author": "Иван", "raw": {"x": 1}}
    fields = EVENT_MODELS[name].model_fields
    feed_only = {
        field for field, info in fields.items() if any(isinstance(mark, FeedOnly) for mark in info.metadata)
    }
    sent = delivery_body_of_event(event, {SCHOOL: "Школа № 1"})["data"]
    assert sent.keys().isdisjoint(feed_only | {"text", "author", "raw"})


@pytest.mark.parametrize(
    ("name", "withheld"),
    [
        ("appeal.moved", {"organisation_id", "page_id", "reason"}),
        ("appeal.closed", {"organisation_id", "page_id", "reason"}),
        ("reply.failed", {"organisation_id", "page_id"}),
        ("message.deleted", {"thread_key"}),
        ("network_token.state_changed", {"method"}),
        ("page.changed", {"version"}),
        ("organisation.succession_recorded", {"code", "version"}),
    ],
)
def test_withheld_fields_are_not_sent(name: str, withheld: set[str]) -> None:
    event = stored_event(name)
    sent = delivery_body_of_event(event, {})["data"]
    assert set(event.data) - set(sent) == withheld


@pytest.mark.parametrize("name", ["appeal.opened", "appeal.message_added"])
def test_texts_are_masked_unless_requested(name: str) -> None:
    said = "Нет света на Жердева 20. Мария Ивановна, 8-924-123-45-67"
    event = stored_event(name, number=7, message_id=str(uuid4()), url="https://vk.com/wall-1_2")
    body = delivery_body_of_event(event, {SCHOOL: "Школа имени Марии Ивановны"}, said)
    assert body["data"]["text"] == "Нет света на Жердева 20. [имя], [телефон]"
    assert body["data"]["organisation"]["name"] == "Школа имени Марии Ивановны"
    assert (body["data"]["message_id"], body["data"]["url"]) == (event.data["message_id"], event.data["url"])
    assert delivery_body_of_event(event, {}, said, personal_data=True)["data"]["text"] == said


def test_reason_in_free_text_is_masked() -> None:
    lost = stored_event("page.step_lost", reason="Сняла Мария Ивановна, 89241234567")
    assert delivery_body_of_event(lost, {})["data"]["reason"] == "Сняла [имя], [телефон]"


def test_event_subject_is_sent_as_id() -> None:
    moved = stored_event("appeal.moved", **{"from": "assigned", "to": "in_progress"})
    data = delivery_body_of_event(moved, {})["data"]
    assert data["id"] == str(moved.subject_id)
    assert (data["from"], data["to"]) == ("assigned", "in_progress")
    assert data["organisation"] == {"id": str(SCHOOL), "name": None}


def test_absent_fields_are_not_sent() -> None:
    renamed = stored_event("page.renamed")
    del renamed.data["screen_name"]
    assert "screen_name" not in delivery_body_of_event(renamed, {})["data"]
    assert "assignment_lost" not in delivery_body_of_event(stored_event("appeal.moved"), {})["data"]
