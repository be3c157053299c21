"""Events of the webhooks service."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.auth.rights import Right
from shared.contracts.event_base import EventData, Moment


class WebhookEndpointSuspended(EventData):
    """An endpoint was suspended, because its owner may no longer read the events that it receives."""

    event_type = "webhook.endpoint_suspended"
    required_right = Right.WEBHOOKS_READ
    example: ClassVar = {"reason": "its owner lacks the right «appeals:read», which «appeal.opened» needs"}

    reason: str = Field(description="Why it was suspended")


class WebhookEndpointDisabled(EventData):
    """An endpoint was disabled, because its receiver answered 410, accepted nothing for days, or never repeated
    the challenge.
    """

    event_type = "webhook.endpoint_disabled"
    required_right = Right.WEBHOOKS_READ
    sent_by_webhooks = True
    example: ClassVar = {
        "reason": "no delivery succeeded for 5 days",
        "failing_since": "2026-11-18T02:00:04+00:00",
        "failed_deliveries": 240,
    }

    reason: str = Field(description="Why it was disabled")
    failing_since: Moment | None = Field(description="Since when all its deliveries have failed")
    failed_deliveries: int = Field(description="Its failed deliveries, the waiting ones included; at most 10,000")


class WebhookTest(EventData):
    """A test that was requested for an endpoint, whatever it subscribes to."""

    event_type = "webhook.test"
    required_right = Right.WEBHOOKS_READ
    example: ClassVar = {"endpoint_id": "0198f3a0-2222-7000-8000-000000000003"}

    endpoint_id: UUID = Field(description="The endpoint")


class WebhookVerification(EventData):
    """An endpoint was created or its URL changed: the receiver must repeat the challenge in its response. Until
    then the endpoint gets no other event.
    """

    event_type = "webhook.verification"
    required_right = Right.WEBHOOKS_READ
    example: ClassVar = {
        "endpoint_id": "0198f3a0-2222-7000-8000-000000000003",
        "challenge": "J8vS0m1yq3nT5wXzB7dF9hKjL2pQ4rUaCeGiMoNkVbY",
    }

    endpoint_id: UUID = Field(description="The endpoint")
    challenge: str = Field(description="Random text, which must be the body of the response")
