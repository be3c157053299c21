"""The AsyncAPI document has every delivery and every message of the stream, with valid examples."""

import json
from typing import Any

import jsonschema
import pytest

from services.webhooks.api.asyncapi import document_body
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from services.webhooks.event_catalogue.openapi_webhooks import DeliveryHeaders

DOCUMENT: dict[str, Any] = json.loads(document_body())
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def test_channels_contain_the_catalogue_and_the_stream() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert list(DOCUMENT["channels"]["deliveries"]["messages"]) == list(CATALOGUE)
    assert list(DOCUMENT["channels"]["stream"]["messages"]) == ["stream.opened", "stream.event", "stream.ended"]


@pytest.mark.parametrize("name", list(MESSAGES))
def test_example_is_valid_by_the_payload_schema(name: str) -> None:
    validator = jsonschema.Draft202012Validator(DOCUMENT | MESSAGES[name]["payload"])
    (example,) = MESSAGES[name]["examples"]
    validator.validate(example["payload"])
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"type": "nothing"})


def test_headers_are_those_of_standard_webhooks() -> None:
    assert set(DOCUMENT["components"]["schemas"]["DeliveryHeaders"]["required"]) == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert all("headers" in MESSAGES[event_type] for event_type in CATALOGUE)
    assert set(DeliveryHeaders.model_fields) == {"webhook_id", "webhook_timestamp", "webhook_signature"}
