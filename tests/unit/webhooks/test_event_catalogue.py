"""The catalogue: only its fields are sent, and each example is valid by its schema."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.webhooks.event_catalogue.catalogue import (
    CATALOGUE,
    WebhookEventType,
    delivery_body,
    delivery_body_of_event,
)
from shared.tables.common import Event

NOW = datetime(2026, 11, 25, 4, tzinfo=UTC)
SCHOOL = UUID("0198f3a0-0000-7000-8000-000000000001")


def event(name: str, **data: Any) -> Event:
    return Event(id=uuid4(), type=name, subject_id=uuid4(), organisation_id=SCHOOL, occurred_at=NOW, data=data)


@pytest.mark.parametrize("name", list(WebhookEventType))
def test_undeclared_fields_are_not_sent(name: str) -> None:
    body = delivery_body_of_event(
        event(name, number=7, network="vk", text="Мой телефон 8-900", author="Иван", author_key="k", raw={"x": 1}),
        {SCHOOL: "Школа № 1"},
    )
    assert body["type"] == name
    assert body["timestamp"] == "2026-11-25T04:00:00+00:00"
    of_a_case = {"number"} if name.startswith(("appeal.", "incident.", "reply.")) else set()
    in_a_network = set() if name.startswith(("organisation.", "incident.", "alert.")) else {"network"}
    assert set(body["data"]) == {"id", "organisation"} | in_a_network | of_a_case
    assert body["data"]["organisation"] == {"id": str(SCHOOL), "name": "Школа № 1"}


@pytest.mark.parametrize("name", [WebhookEventType.OPENED, WebhookEventType.MESSAGE_ADDED])
def test_texts_are_masked_unless_asked_for(name: str) -> None:
    said = "Нет света на Жердева 20. Мария Ивановна, 8-924-123-45-67"
    told = event(name, number=7, message_id=str(uuid4()), url="https://vk.com/wall-1_2")
    body = delivery_body_of_event(told, {SCHOOL: "Школа имени Марии Ивановны"}, said)
    assert body["data"]["text"] == "Нет света на Жердева 20. [имя], [телефон]"
    assert body["data"]["organisation"]["name"] == "Школа имени Марии Ивановны"
    assert (body["data"]["message_id"], body["data"]["url"]) == (told.data["message_id"], told.data["url"])
    assert delivery_body_of_event(told, {}, said, personal_data=True)["data"]["text"] == said


def test_reason_in_free_text_is_masked() -> None:
    lost = event(WebhookEventType.PAGE_STEP_LOST, step="widgets", reason="Сняла Мария Ивановна, 89241234567")
    assert delivery_body_of_event(lost, {})["data"]["reason"] == "Сняла [имя], [телефон]"


def test_event_subject_is_sent_as_id() -> None:
    moved = event(WebhookEventType.MOVED, id=str(uuid4()), **{"from": "assigned", "to": "in_progress"})
    data = delivery_body_of_event(moved, {})["data"]
    assert data["id"] == str(moved.subject_id)
    assert (data["from"], data["to"]) == ("assigned", "in_progress")
    assert data["organisation"] == {"id": str(SCHOOL), "name": None}


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_examples_equal_sent_bodies(name: str) -> None:
    kind = CATALOGUE[name]
    assert delivery_body(name, NOW, kind.example)["data"] == dict(kind.example)
    assert set(kind.example) <= set(kind.data.model_json_schema(by_alias=True)["properties"])
