"""The AsyncAPI 3.0 document: what receivers get and what the event stream sends, from the catalogue's models."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.webhooks.event_catalogue.catalogue import CATALOGUE
from services.webhooks.event_catalogue.openapi_webhooks import DeliveryHeaders

Document = dict[str, Any]

_JSON = "application/json"
_DESCRIPTION = (
    "What happens to appeals, replies, pages and organisations, as signed deliveries and as a stream. "
    "`GET /openapi.json` describes the API itself, with the same deliveries in its section `webhooks`."
)


@dataclass(frozen=True)
class StreamMessage:
    """A message of the event stream: the model of its data, and a description that says when it is sent."""

    data: type[BaseModel]
    summary: str
    example: Mapping[str, Any]


def asyncapi_document(stream: Mapping[str, StreamMessage]) -> Document:
    """Return the AsyncAPI document. `stream` contains the messages of the event stream by name."""
    bodies: list[type[BaseModel]] = [entry.body for entry in CATALOGUE.values()]
    schemas = _schemas([DeliveryHeaders, *bodies, *(message.data for message in stream.values())])
    deliveries = {
        event_type: _message(event_type, entry.body, entry.description, entry.example)
        | {"headers": {"$ref": "#/components/schemas/DeliveryHeaders"}}
        for event_type, entry in CATALOGUE.items()
    }
    streamed = {
        name: _message(name, message.data, message.summary, message.example) for name, message in stream.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Gospablik: events", "version": "1", "description": _DESCRIPTION},
        "defaultContentType": _JSON,
        "channels": {
            "deliveries": {
                # Each endpoint has its own address, so the channel has none.
                "address": None,
                "title": "Webhook endpoint",
                "description": "`POST` to the URL of each endpoint with this event type; any 2xx accepts it",
                "messages": _references(deliveries),
            },
            "stream": {
                "address": "/api/v1/stream",
                "title": "Event stream",
                "description": "Server-sent events: `event` is the name of the message or the type of the event, "
                "`data` the payload, `id` the position. Needs an access token or a ticket",
                "messages": _references(streamed),
            },
        },
        "operations": {
            "sendDelivery": {
                "action": "send",
                "channel": {"$ref": "#/channels/deliveries"},
                "summary": "Send an event to a receiver, and again until it is accepted",
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            },
            "sendStream": {
                "action": "send",
                "channel": {"$ref": "#/channels/stream"},
                "summary": "Send events to a reader as they happen",
                "bindings": {"http": {"method": "GET", "bindingVersion": "0.3.0"}},
            },
        },
        "components": {"messages": deliveries | streamed, "schemas": schemas},
    }


def _schemas(models: Iterable[type[BaseModel]]) -> Document:
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas: Document = found["$defs"]
    return schemas


def _message(name: str, payload: type[BaseModel], summary: str, example: Mapping[str, Any]) -> Document:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": _JSON,
        "payload": {"$ref": f"#/components/schemas/{payload.__name__}"},
        "examples": [{"payload": dict(example)}],
    }


def _references(messages: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
