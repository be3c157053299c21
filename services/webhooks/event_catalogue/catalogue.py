"""The catalogue of webhook events: description, JSON Schema and example of each type.

The models are also the filter: only their fields are sent. Personal data in citizens' texts is masked, except for
an endpoint that asks for unmasked texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.webhooks.event_catalogue.payloads import (
    AlertPayload,
    AppealAnsweredPayload,
    AppealClosedPayload,
    AppealMessagePayload,
    AppealOverduePayload,
    AppealPayload,
    AppealReclassifiedPayload,
    AppealStatusPayload,
    EventPayload,
    GapFoundPayload,
    IncidentPayload,
    MessageDeletedPayload,
    PageBadgeLostPayload,
    PageChangedPayload,
    PageClosedPayload,
    PageRegisteredPayload,
    PageRenamedPayload,
    PageStepLostPayload,
    PageStepReachedPayload,
    PageTakeoverSuspectedPayload,
    PageTransferredPayload,
    ReplyFailedPayload,
    SuccessionRecordedPayload,
    TestPayload,
    TokenStatePayload,
)
from services.webhooks.feed.positions import format_position
from shared.masking import mask_values
from shared.tables.common import Event


class WebhookEventType(StrEnum):
    """Event types that an endpoint can subscribe to."""

    OPENED = "appeal.opened"
    MESSAGE_ADDED = "appeal.message_added"
    ASSIGNED = "appeal.assigned"
    MOVED = "appeal.moved"
    RECLASSIFIED = "appeal.reclassified"
    ANSWERED = "appeal.answered"
    OVERDUE = "appeal.overdue"
    CLOSED = "appeal.closed"
    REOPENED = "appeal.reopened"
    REPLY_FAILED = "reply.failed"
    DELETED = "message.deleted"
    GAP_FOUND = "source.gap_found"
    TOKEN_CHANGED = "token.state_changed"  # noqa: S105 — the name of an event
    PAGE_REGISTERED = "page.registered"
    PAGE_CHANGED = "page.changed"
    PAGE_STEP_REACHED = "page.step_reached"
    PAGE_STEP_LOST = "page.step_lost"
    PAGE_CLOSED = "page.closed"
    PAGE_UNREACHABLE = "page.unreachable"
    PAGE_RENAMED = "page.renamed"
    PAGE_MARK_LOST = "page.mark_lost"
    PAGE_CHANGED_HANDS = "page.changed_hands"
    PAGE_STOLEN = "page.stolen"
    SUCCEEDED = "organisation.succeeded"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_GROWN = "incident.grown"
    INCIDENT_CLOSED = "incident.closed"
    ALERT_RAISED = "alert.raised"


TEST_EVENT_TYPE = "webhook.test"


@dataclass(frozen=True)
class CatalogueEntry:
    """One entry of the catalogue."""

    description: str
    data: type[EventPayload]
    example: Mapping[str, Any]


_APPEAL_EXAMPLE = {
    "id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10",
    "number": 1024,
    "status": "assigned",
    "urgency": "normal",
    "network": "vk",
    "url": "https://vk.com/wall-101_31",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
    "topic_id": "0198f3a0-aaaa-7000-8000-000000000012",
    "municipality": "81624000",
    "settlement": "Селенгинск",
    "language": "ru",
    "incident_id": None,
    "written_at": "2026-11-23T10:00:00+08:00",
    "opened_at": "2026-11-23T10:00:04+08:00",
    "first_response_due_at": "2026-11-24T10:00:04+08:00",
}
_WORDED = {
    "message_id": "0198f3a0-7777-7000-8000-000000000010",
    "text": "Когда починят дорогу на ул. Бабушкина? Мой номер [телефон], [имя]",
}
_CLASS = {name: _APPEAL_EXAMPLE[name] for name in ("topic_id", "municipality", "settlement")}
_RECLASSIFIED = {
    "urgency": "high",
    "changed": ["urgency"],
    "before": _CLASS | {"urgency": "normal"},
    "after": _CLASS | {"urgency": "high"},
}
_ANSWER = {
    "status": "answered",
    "first_response_at": "2026-11-23T11:30:00+08:00",
    "reply_id": "0198f3a5-1111-7000-8000-000000000002",
    "reply_url": "https://vk.com/wall-101_31?reply=32",
    "kind": "final",
    "origin": "gospablik",
    "published_at": "2026-11-23T11:30:00+08:00",
    "on_time": True,
}
_REPLY_FAILED = {
    "status": "in_progress",
    "reply_id": "0198f3a5-1111-7000-8000-000000000002",
    "kind": "final",
    "code": "vk:222",
    "reason": "Сеть не пропустила ссылку.",
    "failed_at": "2026-11-23T11:30:00+08:00",
}
_CLOSED = {"status": "closed", "outcome": "resolved"}
_GAP = {
    "id": "0198f3a0-3333-7000-8000-000000000004",
    "page_id": "0198f3a0-3333-7000-8000-000000000004",
    "network": "vk",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
    "reconciliation_id": "0198f3a0-4444-7000-8000-000000000005",
    "since": "2026-11-21T10:00:00+08:00",
    "count": 2,
}

_DELETED = {
    "id": "0198f3a0-5555-7000-8000-000000000006",
    "page_id": "0198f3a0-3333-7000-8000-000000000004",
    "network": "vk",
    "kind": "comment",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
    "deleted_by": "community",
}
_TOKEN = {
    "id": "0198f3a0-6666-7000-8000-000000000007",
    "page_id": "0198f3a0-3333-7000-8000-000000000004",
    "network": "vk",
    "kind": "group",
    "state": "revoked",
    "reason": "error 27 of messages.send: Group authorization failed",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
}

_PAGE = {
    "id": "0198f3a0-3333-7000-8000-000000000004",
    "network": "vk",
    "external_id": "101",
    "url": "https://vk.com/club101",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
}
_KEPT = {"active": True, "live_from": "2026-11-20T09:00:00+08:00"}
_REACHED = {"step": "connected", "reached_on": "2026-10-01", "evidence_kind": "document"}
_RENAMED = {
    "name": {"before": "Школа № 1", "after": "Скидки каждый день"},
    "screen_name": {"before": "school1", "after": "sale_every_day"},
}
_STEP_LOST = {
    "step": "widgets",
    "reached_on": "2026-10-01",
    "lost_on": "2026-11-23",
    "reason": "Виджеты сняты",
}
_MARK = {
    "step": "verified",
    "reached_on": "2026-10-01",
    "lost_on": "2026-11-23",
    "reason": "Сеть больше не показывает отметку",
}

_SUCCEEDED = {
    "id": "0198f3a0-0000-7000-8000-000000000001",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
    "kind": "merged",
    "took_place_on": "2026-09-01",
    "successors": ["0198f3a0-0000-7000-8000-000000000009"],
}

_INCIDENT = {
    "id": "0198f3a0-8888-7000-8000-000000000010",
    "number": 7,
    "origin": "burst",
    "topic_id": None,
    "fault": "power",
    "municipality": "81624000",
    "settlement": "Селенгинск",
    "urgency": "high",
    "own": False,
    "members": 12,
    "first_at": "2026-11-23T10:00:00+08:00",
    "last_at": "2026-11-23T10:08:00+08:00",
    "organisation": None,
}
_ALERT = {
    "id": "0198f3a0-9999-7000-8000-000000000011",
    "kind": "burst",
    "incident_id": "0198f3a0-8888-7000-8000-000000000010",
    "incident_number": 7,
}

CATALOGUE: dict[str, CatalogueEntry] = {
    WebhookEventType.OPENED: CatalogueEntry(
        "A message that needs an answer opened an appeal", AppealMessagePayload, _APPEAL_EXAMPLE | _WORDED
    ),
    WebhookEventType.MESSAGE_ADDED: CatalogueEntry(
        "The citizen wrote again in an open appeal", AppealMessagePayload, _APPEAL_EXAMPLE | _WORDED
    ),
    WebhookEventType.ASSIGNED: CatalogueEntry(
        "The appeal was assigned to an organisation", AppealPayload, _APPEAL_EXAMPLE
    ),
    WebhookEventType.MOVED: CatalogueEntry(
        "The appeal changed its status",
        AppealStatusPayload,
        _APPEAL_EXAMPLE | {"from": "assigned", "to": "in_progress"},
    ),
    WebhookEventType.RECLASSIFIED: CatalogueEntry(
        "Topic, location or urgency of the appeal changed, and possibly its deadline",
        AppealReclassifiedPayload,
        _APPEAL_EXAMPLE | _RECLASSIFIED,
    ),
    WebhookEventType.ANSWERED: CatalogueEntry(
        "An answer was published in the network", AppealAnsweredPayload, _APPEAL_EXAMPLE | _ANSWER
    ),
    WebhookEventType.OVERDUE: CatalogueEntry(
        "The deadline of an answer has passed", AppealOverduePayload, _APPEAL_EXAMPLE
    ),
    WebhookEventType.CLOSED: CatalogueEntry(
        "The appeal ended: closed or classified as needing no answer",
        AppealClosedPayload,
        _APPEAL_EXAMPLE | _CLOSED,
    ),
    WebhookEventType.REOPENED: CatalogueEntry(
        "A closed or answered appeal was reopened", AppealPayload, _APPEAL_EXAMPLE | {"status": "reopened"}
    ),
    WebhookEventType.REPLY_FAILED: CatalogueEntry(
        "A reply could not be published: somebody must correct it and try again",
        ReplyFailedPayload,
        _APPEAL_EXAMPLE | _REPLY_FAILED,
    ),
    WebhookEventType.DELETED: CatalogueEntry(
        "A message was deleted in the network, by its author or others", MessageDeletedPayload, _DELETED
    ),
    WebhookEventType.TOKEN_CHANGED: CatalogueEntry(
        "A network rejected a credential, or accepts it again", TokenStatePayload, _TOKEN
    ),
    WebhookEventType.GAP_FOUND: CatalogueEntry(
        "A reconciliation with the network found messages that were missing", GapFoundPayload, _GAP
    ),
    WebhookEventType.PAGE_REGISTERED: CatalogueEntry(
        "A page was registered", PageRegisteredPayload, _PAGE | _KEPT
    ),
    WebhookEventType.PAGE_CHANGED: CatalogueEntry(
        "The registry's data of a page changed", PageChangedPayload, _PAGE | _KEPT | {"changed": ["active"]}
    ),
    WebhookEventType.PAGE_STEP_REACHED: CatalogueEntry(
        "A page reached a step after its registration, or the step's day or evidence was corrected",
        PageStepReachedPayload,
        _PAGE | _REACHED,
    ),
    WebhookEventType.PAGE_STEP_LOST: CatalogueEntry(
        "A page lost a step that is not a badge: lost badges are `page.mark_lost`",
        PageStepLostPayload,
        _PAGE | _STEP_LOST,
    ),
    WebhookEventType.PAGE_CLOSED: CatalogueEntry(
        "The network no longer shows a page, or shows it only to members",
        PageClosedPayload,
        _PAGE | {"reason": "banned"},
    ),
    WebhookEventType.PAGE_UNREACHABLE: CatalogueEntry(
        "The network does not know a page any more", PageClosedPayload, _PAGE | {"reason": "not_found"}
    ),
    WebhookEventType.PAGE_RENAMED: CatalogueEntry(
        "The name or short name of a page changed in its network", PageRenamedPayload, _PAGE | _RENAMED
    ),
    WebhookEventType.PAGE_MARK_LOST: CatalogueEntry("A page lost a badge", PageBadgeLostPayload, _PAGE | _MARK),
    WebhookEventType.PAGE_CHANGED_HANDS: CatalogueEntry(
        "The page was moved to another organisation in the registry",
        PageTransferredPayload,
        _PAGE | {"moved_from": "0198f3a0-0000-7000-8000-000000000008"},
    ),
    WebhookEventType.PAGE_STOLEN: CatalogueEntry(
        "A page changed in a way that suggests a takeover: check it at once",
        PageTakeoverSuspectedPayload,
        _PAGE | _RENAMED | {"signs": ["name_and_address_changed"]},
    ),
    WebhookEventType.SUCCEEDED: CatalogueEntry(
        "The successors of an organisation were recorded, with their first day",
        SuccessionRecordedPayload,
        _SUCCEEDED,
    ),
    WebhookEventType.INCIDENT_OPENED: CatalogueEntry(
        "Appeals were joined into an incident: by a person, or automatically as a spike",
        IncidentPayload,
        _INCIDENT,
    ),
    WebhookEventType.INCIDENT_GROWN: CatalogueEntry(
        "The number of an incident's appeals reached 10, 20, 50, 100 …",
        IncidentPayload,
        _INCIDENT | {"members": 20},
    ),
    WebhookEventType.INCIDENT_CLOSED: CatalogueEntry(
        "A person closed an incident: no appeal joins it any more",
        IncidentPayload,
        _INCIDENT | {"members": 204, "closed_at": "2026-11-23T18:00:00+08:00"},
    ),
    WebhookEventType.ALERT_RAISED: CatalogueEntry("An alert for moderators was raised", AlertPayload, _ALERT),
    TEST_EVENT_TYPE: CatalogueEntry(
        "Sent by POST /webhooks/endpoints/{id}/test, whatever the endpoint subscribes to",
        TestPayload,
        {"endpoint_id": "0198f3a0-2222-7000-8000-000000000003"},
    ),
}


# Names and ids from the registry or a network: masking would corrupt them, and no citizen wrote them.
UNMASKED_FIELDS = frozenset(
    {
        "id", "url", "reply_url", "organisation", "name", "screen_name", "code", "external_id", "external_ids",
        "thread_key", "author_key", "reply_to",
    }
)  # fmt: skip


def mask_personal_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's data with personal data masked in all fields that may contain citizens' texts."""
    masked_data: dict[str, Any] = mask_values(dict(data), keep=UNMASKED_FIELDS)
    return masked_data


def delivery_body(
    event_type: str,
    occurred_at: datetime,
    data: Mapping[str, Any],
    *,
    event_id: UUID | None = None,
    position: str | None = None,
) -> dict[str, Any]:
    """Return the body of a delivery: type, time, id and feed position of the event, and the catalogue's fields."""
    model = CATALOGUE[event_type].data
    kept = model.model_validate(data).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {
        "type": event_type,
        "timestamp": occurred_at.isoformat(),
        "id": None if event_id is None else str(event_id),
        "position": position,
        "data": kept,
    }


def delivery_body_of_event(
    event: Event, organisation_names: Mapping[UUID, str], text: str | None = None, *, personal_data: bool = False
) -> dict[str, Any]:
    """Return the body of a delivery for an event; `text` is the text of the citizen's message.

    Personal data in it is masked unless `personal_data` is true.
    """
    organisation_id = event.organisation_id
    organisation = (
        {"id": organisation_id, "name": organisation_names.get(organisation_id)} if organisation_id else None
    )
    data = {name: value for name, value in event.data.items() if name != "text"}
    data |= {"id": event.subject_id, "organisation": organisation}
    if text is not None:
        data["text"] = text
    position = None if event.position is None else format_position(event.position)
    body = delivery_body(event.type, event.occurred_at, data, event_id=event.id, position=position)
    if not personal_data:
        body["data"] = mask_personal_data(body["data"])
    return body
