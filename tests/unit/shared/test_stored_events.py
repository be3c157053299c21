"""Rows of `events` stored by the previous version are readable by consumers and sent by webhooks.

After an upgrade consumers read such rows: unprocessed events, and dead-lettered events that are retried.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.webhooks.event_catalogue.catalogue import WebhookEventType, delivery_body_of_event
from shared.contracts.appeal_events import AppealMoved
from shared.contracts.ingest_events import PublicationPublished, PublicationUncertain
from shared.contracts.registry_events import PageChanged
from shared.contracts.stored_events import parse_event
from shared.tables.common import Event

ID = "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10"
APPEAL = {
    "id": ID,
    "number": 7,
    "status": "assigned",
    "urgency": "normal",
    "network": None,
    "page_id": None,
    "url": None,
    "organisation_id": ID,
    "topic_id": None,
    "municipality": None,
    "settlement": None,
    "language": None,
    "incident_id": None,
    "written_at": "2026-11-23T02:00:00.123456+00:00",
    "opened_at": "2026-11-23T10:00:04+08:00",
    "first_response_due_at": None,
    "first_response_at": None,
    "next_response_due_at": None,
    "resolution_due_at": None,
}
PAGE = {"network": "ok", "external_id": "53", "url": "https://ok.ru/group/53"}
REGISTERED = PAGE | {"active": True, "go_live_at": "2026-11-20T09:00:00+08:00", "version": 3}
FAILURE = {"code": "outcome_unknown", "message": "Сеть не подтвердила отправку.", "final": False}

# Data as the previous version stored them, with every form of an absent field.
STORED: list[tuple[str, dict[str, Any]]] = [
    ("appeal.opened", APPEAL),
    ("appeal.opened", APPEAL | {"message_id": ID}),
    ("appeal.message_added", APPEAL | {"message_id": ID}),
    ("appeal.assigned", APPEAL),
    ("appeal.moved", APPEAL | {"from": "assigned", "to": "assigned", "reason": None, "assignment_lost": True}),
    ("appeal.moved", APPEAL | {"from": "assigned", "to": "triage", "reason": "Не наше"}),
    (
        "appeal.reclassified",
        APPEAL
        | {
            "changed": ["street", "urgency"],
            "before": {"topic_id": None, "municipality": None, "settlement": None, "urgency": "normal"},
            "after": {"topic_id": None, "municipality": None, "settlement": None, "urgency": "high"},
        },
    ),
    (
        "appeal.answered",
        APPEAL
        | {
            "reply_id": ID,
            "origin": "network",
            "published_at": "2026-11-23T03:30:00+00:00",
            "on_time": None,
            "kind": "interim",
            "reply_url": None,
        },
    ),
    ("appeal.overdue", APPEAL | {"promised_at": None}),
    ("appeal.closed", APPEAL | {"outcome": None, "reason": "Решено"}),
    ("appeal.reopened", APPEAL),
    ("appeal.reopened", APPEAL | {"reason": None}),
    ("reply.queued", APPEAL | {"reply_id": ID}),
    (
        "reply.failed",
        APPEAL
        | {
            "reply_id": ID,
            "kind": "final",
            "code": "job_dead_lettered",
            "reason": "Отправка не удалась",
            "failed_at": "2026-11-23T03:30:00.500000+00:00",
        },
    ),
    (
        "message.deleted",
        {"page_id": ID, "network": "ok", "kind": "comment", "thread_key": "ok:1", "deleted_by": "unknown"},
    ),
    (
        "publication.published",
        {
            "reply_id": ID,
            "external_ids": ["-1_2", "-1_3"],
            "url": "https://vk.com/wall-1_2",
            "published_at": "2026-11-23T03:30:00+00:00",
            "matched": True,
        },
    ),
    ("publication.uncertain", {"reply_id": ID, "part": 0, "parts": 2, "failure": FAILURE}),
    ("page.registered", REGISTERED),
    ("page.changed", REGISTERED | {"changed": ["name"]}),
    ("page.changed", REGISTERED | {"changed": ["organisation_id"], "previous_organisation_id": ID}),
    ("page.transferred", REGISTERED | {"previous_organisation_id": ID}),
    ("page.badge_lost", PAGE | {"step": "verified", "reason": "Сеть больше не показывает отметку"}),
    ("page.renamed", PAGE | {"name": {"before": "Школа", "after": "Скидки"}}),
    ("page.closed", PAGE | {"reason": "deactivated"}),
    ("organisation.changed", {"code": None, "version": 2, "changed": ["names"]}),
    ("calendar.changed", {"version": 2, "changed": ["name"]}),
    ("calendar.changed", {"version": 2, "start": "2026-01-01", "end": "2026-12-31"}),
]


def stored_event(event_type: str, data: dict[str, Any]) -> Event:
    return Event(
        id=uuid4(),
        type=event_type,
        subject_id=UUID(ID),
        organisation_id=UUID(ID),
        occurred_at=datetime(2026, 11, 23, 3, 30, tzinfo=UTC),
        data=data,
    )


@pytest.mark.parametrize(("event_type", "data"), STORED)
def test_stored_data_are_parsed_without_loss(event_type: str, data: dict[str, Any]) -> None:
    assert parse_event(stored_event(event_type, data)).to_stored() == data


@pytest.mark.parametrize(("event_type", "data"), [row for row in STORED if row[0] in set(WebhookEventType)])
def test_stored_data_are_sent_to_webhooks(event_type: str, data: dict[str, Any]) -> None:
    delivered = delivery_body_of_event(stored_event(event_type, data), {UUID(ID): "Школа"})["data"]
    assert delivered["id"] == ID
    assert delivered.keys() - {"id", "organisation"} <= data.keys()


def test_obsolete_status_is_replaced() -> None:
    moved = stored_event(
        "appeal.moved",
        APPEAL | {"status": "on_approval", "from": "in_progress", "to": "on_approval", "reason": None},
    )
    parsed = parse_event(moved)
    assert isinstance(parsed, AppealMoved)
    assert (parsed.status, parsed.from_status, parsed.to_status) == ("in_progress", "in_progress", "in_progress")
    assert delivery_body_of_event(moved, {})["data"]["to"] == "in_progress"


def test_consumers_get_typed_values() -> None:
    by_type = {event_type: parse_event(stored_event(event_type, data)) for event_type, data in STORED}
    published, uncertain, changed = (
        by_type["publication.published"],
        by_type["publication.uncertain"],
        by_type["page.changed"],
    )
    assert isinstance(published, PublicationPublished)
    assert published.published_at == datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
    assert isinstance(uncertain, PublicationUncertain)
    assert uncertain.failure.code == "outcome_unknown"
    assert isinstance(changed, PageChanged)
    assert changed.previous_organisation_id == UUID(ID)
