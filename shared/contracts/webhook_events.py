"""Events of the webhooks service."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.auth.rights import Right
from shared.contracts.event_base import EventData


class WebhookEndpointSuspended(EventData):
    """An endpoint was suspended, because its owner may no longer read what it receives."""

    event_type = "webhook.endpoint_suspended"
    required_right = Right.WEBHOOKS_READ
    example: ClassVar = {"reason": "its owner lacks the right «appeals:read», which «appeal.opened» needs"}

    reason: str = Field(description="Why")


class WebhookTest(EventData):
    """A test that was requested for an endpoint, whatever it subscribes to."""

    event_type = "webhook.test"
    required_right = Right.WEBHOOKS_READ
    example: ClassVar = {"endpoint_id": "0198f3a0-2222-7000-8000-000000000003"}

    endpoint_id: UUID = Field(description="The endpoint")
