"""The catalogue of events that webhooks carry: what each says, its schema and an example.

The models are the filter as well: only their fields leave the house, so a citizen's words or name cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.tables.events import Event


class EventName(StrEnum):
    """What an endpoint can subscribe to."""

    OPENED = "appeal.opened"
    MESSAGE_ADDED = "appeal.message_added"
    ASSIGNED = "appeal.assigned"
    MOVED = "appeal.moved"
    ANSWERED = "appeal.answered"
    OVERDUE = "appeal.overdue"
    CLOSED = "appeal.closed"
    REOPENED = "appeal.reopened"
    DELETED = "message.deleted"
    GAP_FOUND = "source.gap_found"
    TOKEN_CHANGED = "token.state_changed"  # noqa: S105 — the name of an event


TEST = "webhook.test"


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class OrganisationRef(_Data):
    """The organisation that answers."""

    id: UUID
    name: str | None


class AppealData(_Data):
    """The case at the moment of the event."""

    id: UUID
    number: int | None = None
    status: str | None = None
    urgency: str | None = None
    network: str | None = None
    url: str | None = Field(default=None, description="The message in the network")
    organisation: OrganisationRef | None = None
    written_at: datetime | None = None
    opened_at: datetime | None = None
    first_response_due_at: datetime | None = None
    first_response_at: datetime | None = None
    next_response_due_at: datetime | None = Field(default=None, description="Of the answer a reopened case awaits")
    resolution_due_at: datetime | None = None


class MovedData(AppealData):
    """Also the statuses it moved between."""

    from_: str | None = Field(default=None, alias="from")
    to: str | None = None


class AnsweredData(AppealData):
    """Also the answer that was published; `origin` is `gospablik` or `network` (by hand)."""

    reply_id: UUID | None = None
    reply_url: str | None = None
    kind: str | None = Field(default=None, description="`final` or `interim`")
    origin: str | None = None
    published_at: datetime | None = None
    on_time: bool | None = None


class OverdueData(AppealData):
    """Also the date that an interim answer promised, if one did."""

    promised_at: datetime | None = None


class ClosedData(AppealData):
    """Also how it ended."""

    outcome: str | None = None


class DeletedData(_Data):
    """A message that was removed in the network; its words stay here."""

    id: UUID = Field(description="Of the message")
    page_id: UUID | None = None
    network: str | None = None
    kind: str | None = None
    organisation: OrganisationRef | None = None
    deleted_by: str | None = Field(default=None, description="`author`, `community`, or `unknown`")


class TokenData(_Data):
    """A credential of a network that changed its state."""

    id: UUID = Field(description="Of the credential")
    page_id: UUID | None = Field(default=None, description="The page it belongs to, if it belongs to one")
    network: str | None = None
    kind: str | None = Field(default=None, description="`group`, `service` or `user`")
    state: str | None = Field(
        default=None, description="`healthy`, `limited`, `captcha`, `revoked`, `blocked`, `retired`"
    )
    reason: str | None = None
    organisation: OrganisationRef | None = None


class GapData(_Data):
    """Messages of a page that no ordinary way had brought; they are stored now."""

    id: UUID = Field(description="Of the page")
    page_id: UUID | None = Field(default=None, description="The same")
    network: str | None = None
    organisation: OrganisationRef | None = None
    reconciliation_id: UUID | None = None
    since: datetime | None = Field(default=None, description="How far back was compared")
    count: int | None = Field(default=None, description="How many were missing")


class TestData(_Data):
    """Sent on request, to try an endpoint."""

    endpoint_id: UUID


@dataclass(frozen=True)
class Kind:
    """One entry of the catalogue."""

    description: str
    data: type[_Data]
    example: Mapping[str, Any]


_CASE = {
    "id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10",
    "number": 1024,
    "status": "assigned",
    "urgency": "normal",
    "network": "vk",
    "url": "https://vk.com/wall-101_31",
    "organisation": {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"},
    "written_at": "2026-11-23T10:00:00+08:00",
    "opened_at": "2026-11-23T10:00:04+08:00",
    "first_response_due_at": "2026-11-24T10:00:04+08:00",
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

CATALOGUE: dict[str, Kind] = {
    EventName.OPENED: Kind("A message that needs an answer opened a case", AppealData, _CASE),
    EventName.MESSAGE_ADDED: Kind("The citizen wrote again in the open case", AppealData, _CASE),
    EventName.ASSIGNED: Kind("The case went to an organisation", AppealData, _CASE),
    EventName.MOVED: Kind(
        "The case changed its status", MovedData, _CASE | {"from": "assigned", "to": "in_progress"}
    ),
    EventName.ANSWERED: Kind("An answer was published in the network", AnsweredData, _CASE | _ANSWER),
    EventName.OVERDUE: Kind("An answer is past its deadline", OverdueData, _CASE),
    EventName.CLOSED: Kind(
        "The case ended: closed, merged or found to need no answer", ClosedData, _CASE | _CLOSED
    ),
    EventName.REOPENED: Kind(
        "A closed or answered case was opened again", AppealData, _CASE | {"status": "reopened"}
    ),
    EventName.DELETED: Kind("A message was removed in the network, by whomever", DeletedData, _DELETED),
    EventName.TOKEN_CHANGED: Kind("A network refused a credential, or takes it again", TokenData, _TOKEN),
    EventName.GAP_FOUND: Kind("Comparing a page with its network found messages that were missing", GapData, _GAP),
    TEST: Kind(
        "Sent by POST /webhooks/endpoints/{id}/test, whatever the endpoint subscribes to",
        TestData,
        {"endpoint_id": "0198f3a0-2222-7000-8000-000000000003"},
    ),
}


def body_of(event_type: str, occurred_at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a delivery: type, time of the event, and the catalogue's fields of its data, no others."""
    model = CATALOGUE[event_type].data
    kept = model.model_validate(data).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {"type": event_type, "timestamp": occurred_at.isoformat(), "data": kept}


def body_of_event(event: Event, organisation_names: Mapping[UUID, str]) -> dict[str, Any]:
    """The body for an event of a case or of a page."""
    found = event.organisation_id
    organisation = {"id": found, "name": organisation_names.get(found)} if found else None
    data = {**event.data, "id": event.subject_id, "organisation": organisation}
    return body_of(event.type, event.occurred_at, data)
