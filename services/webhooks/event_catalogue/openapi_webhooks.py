"""The `webhooks` section of the OpenAPI document: one entry for each type of the catalogue."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Header
from pydantic import BaseModel, ConfigDict, Field

from services.webhooks.event_catalogue.catalogue import CATALOGUE, VERIFICATION_EVENT_TYPE, CatalogueEntry


class DeliveryHeaders(BaseModel):
    """The headers of a delivery, as Standard Webhooks defines them."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    webhook_id: UUID = Field(
        description="Id of the event, the same in all attempts: store it to recognise a delivery that comes twice",
        examples=["0198f3a0-9a11-7c52-8d6e-3f0a5f1b2c3d"],
    )
    webhook_timestamp: int = Field(
        description="Unix time of this attempt: refuse one that is older than five minutes", examples=[1795399204]
    )
    webhook_signature: str = Field(
        description="`v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; during "
        "a rotation of the secret several, separated by spaces, of which one must match",
        examples=["v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="],
    )


# What a receiver's responses mean, as the `responses` of an OpenAPI operation.
RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"description": "Accepted, as any 2xx; the body is ignored. We wait 15 seconds for a response"},
    410: {"description": "The endpoint is disabled at once"},
    429: {"description": "Sent again, not before the time that `Retry-After` names"},
    503: {"description": "Sent again, not before the time that `Retry-After` names"},
    "default": {"description": "Sent again by the published schedule. Redirects are not followed"},
}
VERIFIED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The challenge, as the whole text or as a JSON object: the endpoint is verified. A body "
        "without it is a failed attempt",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"challenge": {"type": "string"}},
                    "required": ["challenge"],
                }
            },
            "text/plain": {"schema": {"type": "string"}},
        },
    }
}


def add_webhooks(app: FastAPI) -> None:
    """Add the requests that receivers get to the app's OpenAPI document."""
    for event_type, entry in CATALOGUE.items():
        is_verification = event_type == VERIFICATION_EVENT_TYPE
        app.webhooks.add_api_route(
            event_type,
            _receiver(entry),
            methods=["POST"],
            tags=["webhooks"],
            operation_id=f"receive_{event_type.replace('.', '_')}",
            summary=f"Delivery of {event_type}",
            description=entry.description,
            status_code=200 if is_verification else 204,
            responses={key: value for key, value in RESPONSES.items() if key != 204} | VERIFIED
            if is_verification
            else RESPONSES,
            openapi_extra={"requestBody": {"content": {"application/json": {"example": dict(entry.example)}}}},
        )


def _receiver(entry: CatalogueEntry) -> Callable[..., Any]:
    """Return a function with the parameters of a receiver, which FastAPI documents and never calls."""

    async def receive(body: Any, headers: Annotated[DeliveryHeaders, Header()]) -> None: ...

    receive.__annotations__["body"] = entry.body
    return receive
