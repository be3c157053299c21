"""The catalogue of webhook events: the event types, and the content, schema and example of their deliveries.

The data has the fields of the event's model (`shared/contracts/`), without fields marked `FeedOnly`. Webhooks add
the subject's id, the organisation with its name, and the citizen's text. Personal data in texts is masked, except
for an endpoint that asks for unmasked texts.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from services.webhooks.feed.positions import format_position
from services.webhooks.feed.type_patterns import expand_types
from shared.contracts.appeal_events import AlertRaised, AppealMessageAdded, AppealOpened
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData, FeedOnly
from shared.contracts.stored_events import current_data
from shared.contracts.webhook_events import WebhookTest, WebhookVerification
from shared.masking import mask_values
from shared.tables.common import Event

_SUBSCRIBABLE = {
    kind.replace(".", "_").upper(): kind for kind, model in EVENT_MODELS.items() if model.sent_by_webhooks
}
WebhookEventType = StrEnum("WebhookEventType", _SUBSCRIBABLE)  # type: ignore[misc]
WebhookEventType.__doc__ = "Event types that an endpoint can subscribe to."

# What an endpoint subscribes to: event types, or `subject.*` for all types of a subject, with types added later.
_PATTERNS = {f"{kind.partition('.')[0]}.*" for kind in _SUBSCRIBABLE.values()}
WebhookSubscription = StrEnum(  # type: ignore[misc]
    "WebhookSubscription",
    _SUBSCRIBABLE | {f"ALL_OF_{pattern.partition('.')[0].upper()}": pattern for pattern in sorted(_PATTERNS)},
)
WebhookSubscription.__doc__ = "Event types that an endpoint can subscribe to; `appeal.*`: all types of a subject."

TEST_EVENT_TYPE = WebhookTest.event_type
VERIFICATION_EVENT_TYPE = WebhookVerification.event_type
# Sent to one endpoint on request, whatever it subscribes to.
DIRECT_EVENT_TYPES = (TEST_EVENT_TYPE, VERIFICATION_EVENT_TYPE)
# Events about a message of a citizen: their deliveries contain its text.
WITH_TEXT = (AppealOpened, AppealMessageAdded)


def subscribed_types(subscriptions: Iterable[str]) -> list[str]:
    """Return the event types that an endpoint with these subscriptions receives now."""
    return expand_types(subscriptions, tuple(WebhookEventType))


class DeliveredOrganisation(BaseModel):
    """The organisation that an event concerns."""

    id: UUID = Field(description="Id of the organisation")
    name: str | None = Field(description="Its name; null: it is no longer registered")


class DeliveredData(BaseModel):
    """Fields that deliveries contain in addition to the fields of the event."""

    model_config = ConfigDict(validate_by_name=True, defer_build=True)

    id: UUID = Field(description="Id of the event's subject")
    organisation: DeliveredOrganisation | None = Field(
        description="The organisation that the event concerns; null: it is for the centre"
    )


class DeliveredMessage(DeliveredData):
    """The fields of `DeliveredData`, and the citizen's text."""

    text: str | None = Field(
        default=None,
        description="The citizen's text; personal data is masked unless the endpoint asks for unmasked texts",
    )


class Delivery(BaseModel):
    """The body of a delivery."""

    type: str
    timestamp: AwareDatetime = Field(description="When it happened")
    id: UUID = Field(description="Id of the event, as in the feed")
    position: str | None = Field(
        description="Position in the feed; null in a test or verification that was sent before it was numbered"
    )
    sequence: int | None = Field(
        description="Increases from event to event, with gaps: the event with the lower number is first; null "
        "like `position`"
    )
    data: BaseModel


@dataclass(frozen=True)
class CatalogueEntry:
    """One event type: its model, the model of `data`, and what only documentation needs, made when it is read:
    description, model, JSON Schema and example of the body.
    """

    model: type[EventData]
    data: type[BaseModel]

    @cached_property
    def description(self) -> str:
        """Return the description of the event type in one line."""
        return description_of(self.model)

    @cached_property
    def body(self) -> type[Delivery]:
        """Return the model of a delivery's body."""
        return _body_model(self.model.event_type, self.data)

    @cached_property
    def json_schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of the body."""
        return _json_schema(self.body)

    @cached_property
    def example(self) -> Mapping[str, Any]:
        """Return an example of the body."""
        return _example(self.model, self.data)


def description_of(model: type[EventData]) -> str:
    """Return the docstring of an event's model in one line."""
    return " ".join((inspect.getdoc(model) or "").split())


def _delivered_model(model: type[EventData]) -> type[BaseModel]:
    base: type[BaseModel] = DeliveredData
    if model.event_type in DIRECT_EVENT_TYPES:
        base = BaseModel  # These are about no subject.
    elif issubclass(model, WITH_TEXT):
        base = DeliveredMessage
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for name, field in model.model_fields.items()
        if not any(isinstance(mark, FeedOnly) for mark in field.metadata)
    }
    return create_model(model.__name__, __base__=base, __doc__=description_of(model), **fields)


def _body_model(event_type: str, data: type[BaseModel]) -> type[Delivery]:
    fields: dict[str, Any] = {"type": (Literal[event_type], ...), "data": (data, ...)}
    name, description = f"{data.__name__}Delivery", f"Delivery of `{event_type}`."
    return create_model(name, __base__=Delivery, __doc__=description, **fields)


def _json_schema(body: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a body; every `$ref` in it points into its own `$defs`."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **body.model_json_schema()}


_EXAMPLE_SUBJECT = "0198f3a0-3333-7000-8000-000000000004"
_EXAMPLE_ORGANISATION = {"id": "0198f3a0-0000-7000-8000-000000000001", "name": "Школа № 1"}
_EXAMPLE_TEXT = "Когда починят дорогу на ул. Бабушкина? Мой номер [телефон], [имя]"


def _example(model: type[EventData], data: type[BaseModel]) -> dict[str, Any]:
    added: dict[str, Any] = {
        "id": _EXAMPLE_SUBJECT,
        "organisation": None if model is AlertRaised else _EXAMPLE_ORGANISATION,
        "text": _EXAMPLE_TEXT,
    }
    return {
        "type": model.event_type,
        "timestamp": "2026-11-23T02:00:04+00:00",
        "id": "0198f3a0-9a11-7c52-8d6e-3f0a5f1b2c3d",
        "position": "0.42",
        "sequence": 42,
        "data": _delivered(data, {**added, **model.example}),
    }


def _delivered(data: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    delivered: dict[str, Any] = to_jsonable_python(
        data.model_validate(values, extra="ignore").model_dump(by_alias=True, exclude_unset=True)
    )
    return delivered


CATALOGUE: Mapping[str, CatalogueEntry] = {
    event_type: CatalogueEntry(EVENT_MODELS[event_type], _delivered_model(EVENT_MODELS[event_type]))
    for event_type in (*WebhookEventType, *DIRECT_EVENT_TYPES)
}


# Fields that are not masked, since masking would corrupt them: names, ids of a network, random texts.
UNMASKED_FIELDS = frozenset(
    {
        "id", "url", "reply_url", "organisation", "name", "screen_name", "code", "external_id", "external_ids",
        "thread_key", "author_key", "reply_to", "challenge",
    }
)  # fmt: skip


def mask_personal_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's data with personal data masked in all fields that may contain citizens' texts."""
    masked_data: dict[str, Any] = mask_values(dict(data), skip_keys=UNMASKED_FIELDS)
    return masked_data


def organisation_of(body: Mapping[str, Any]) -> UUID | None:
    """Return the id of the organisation that a delivery's body concerns; None if it names none.

    A body that a former version stored may lack parts.
    """
    organisation = body.get("data", {}).get("organisation")
    return UUID(organisation["id"]) if organisation else None


def delivery_body(
    event_type: str,
    occurred_at: datetime,
    data: Mapping[str, Any],
    *,
    event_id: UUID | None = None,
    position: int | None = None,
) -> dict[str, Any]:
    """Return the body of a delivery: the event's type, time, id and feed position, and the fields of its model."""
    return {
        "type": event_type,
        "timestamp": occurred_at.isoformat(),
        "id": None if event_id is None else str(event_id),
        "position": None if position is None else format_position(position),
        "sequence": position,
        "data": _delivered(CATALOGUE[event_type].data, data),
    }


def delivery_body_of_event(
    event: Event, organisation_names: Mapping[UUID, str], text: str | None = None, *, personal_data: bool = False
) -> dict[str, Any]:
    """Return the body of a delivery for an event; `text` is the text of the citizen's message.

    Personal data in texts is masked unless `personal_data` is true.
    """
    organisation_id = event.organisation_id
    organisation = (
        {"id": organisation_id, "name": organisation_names.get(organisation_id)} if organisation_id else None
    )
    # An event's own field `text` is left out: receivers would take it for the citizen's text.
    data = {name: value for name, value in current_data(event).items() if name != "text"}
    data |= {"id": event.subject_id, "organisation": organisation}
    if text is not None:
        data["text"] = text
    body = delivery_body(event.type, event.occurred_at, data, event_id=event.id, position=event.position)
    if not personal_data:
        body["data"] = mask_personal_data(body["data"])
    return body
