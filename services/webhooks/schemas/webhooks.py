"""API models of webhooks."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from services.webhooks.endpoints.custom_headers import MAX_HEADERS, MAX_VALUE_LENGTH
from services.webhooks.event_catalogue.catalogue import (
    TEST_EVENT_TYPE,
    VERIFICATION_EVENT_TYPE,
    WebhookEventType,
    WebhookSubscription,
)
from shared.auth.rights import Right
from shared.signing_secrets import ROTATION_OVERLAP

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def _no_control_characters(value: str) -> str:
    if any(character != "\n" and not character.isprintable() for character in value):
        raise ValueError("Control characters are not allowed")
    return value


def _bounded(value: datetime) -> datetime:
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError("The time must be from 2000-01-01 to 2100-01-01 (UTC)")
    return value


# A moment within the range that Python and Postgres can compute with and store.
BoundedMoment = Annotated[AwareDatetime, AfterValidator(_bounded)]
MultilineText = Annotated[str, AfterValidator(_no_control_characters)]
Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://crm.example.org/hooks/gospablik"])]
EventTypes = Annotated[
    list[WebhookSubscription], Field(min_length=1, max_length=50, examples=[["appeal.opened", "reply.*"]])
]
Description = Annotated[MultilineText, Field(max_length=500, examples=["Приёмная главы"])]


Headers = Annotated[
    dict[str, str],
    Field(
        max_length=MAX_HEADERS,
        description="Headers that each request to the URL has besides our own: names, and values of up to "
        f"{MAX_VALUE_LENGTH:,} printable ASCII characters. They are stored encrypted, and values are never shown "
        "again. Not allowed: `Host`, `Content-*`, `Cookie`, `User-Agent`, `webhook-*`, headers of the connection",
        examples=[{"Authorization": "Bearer 5f2b1c0e8d"}],
    ),
]
# Filters. An endpoint gets the events that match each filter that is not empty.
MAX_FILTERED = 100
OrganisationSubtree = Annotated[
    list[UUID],
    Field(
        max_length=MAX_FILTERED,
        description="Only events of these organisations and of those below them; for an organisation's endpoint, "
        "its own or organisations below it. Empty: an organisation's endpoint gets the events of this "
        "organisation alone, the centre's those of all",
        examples=[["0198f3a0-0000-7000-8000-000000000001"]],
    ),
]
Topics = Annotated[
    list[UUID],
    Field(
        max_length=MAX_FILTERED,
        description="Only events about appeals and incidents with one of these topics at the time of the event; a "
        "topic group stands for all its topics. Empty: all events",
        examples=[["0198f3a0-aaaa-7000-8000-000000000012"]],
    ),
]
Municipalities = Annotated[
    list[Annotated[str, Field(pattern=r"^\d{8}(\d{3})?$")]],
    Field(
        max_length=MAX_FILTERED,
        description="Only events about appeals and incidents located in one of these municipalities at the time "
        "of the event, by OKTMO code. Empty: all events",
        examples=[["81624000"]],
    ),
]


PersonalData = Annotated[
    bool,
    Field(
        description="true: citizens' texts are sent unmasked; false: phones, names, documents and the "
        "like are masked in them"
    ),
]


Ordered = Annotated[
    bool,
    Field(
        description="true: the events of one subject, such as an appeal, are sent one after another, in the order "
        "of `sequence`: the next one when the one before was accepted or has failed for good"
    ),
]
MaxPerSecond = Annotated[
    int | None,
    Field(ge=1, le=1000, description="Requests per second at most, evenly spaced; null: no limit", examples=[20]),
]
MaxConcurrency = Annotated[
    int | None,
    Field(ge=1, le=64, description="Requests at the same time at most; null: the limit of a worker", examples=[4]),
]


class WebhookEndpointCreate(BaseModel):
    """An endpoint to create."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    event_types: EventTypes
    organisation_subtree: OrganisationSubtree = []
    topics: Topics = []
    municipalities: Municipalities = []
    headers: Headers = {}
    description: Description = ""
    personal_data: PersonalData = False
    ordered: Ordered = False
    max_per_second: MaxPerSecond = None
    max_concurrency: MaxConcurrency = None


# Fields that a change may set to null.
NULLABLE_FIELDS = frozenset({"max_per_second", "max_concurrency"})


class WebhookEndpointUpdate(BaseModel):
    """Fields to change. Omitted fields keep their values."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    event_types: EventTypes | None = None
    organisation_subtree: OrganisationSubtree | None = None
    topics: Topics | None = None
    municipalities: Municipalities | None = None
    headers: Headers | None = Field(default=None, description="Replaces all headers; empty: none is sent")
    description: Description | None = None
    personal_data: PersonalData | None = None
    active: bool | None = Field(default=None, description="false: nothing is sent, pending deliveries fail")
    paused: bool | None = Field(
        default=None,
        description="true: nothing is sent, deliveries wait until it is resumed; false: it is resumed",
    )
    ordered: Ordered | None = None
    max_per_second: MaxPerSecond = None
    max_concurrency: MaxConcurrency = None

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.field_name not in NULLABLE_FIELDS:
            raise ValueError("null is not allowed here: leave the field out to keep its value")
        return value


class WebhookEndpoint(BaseModel):
    """An endpoint. Its secret is shown only when it is created or rotated, the values of its headers never."""

    id: UUID
    version: int
    organisation_id: UUID | None = Field(
        description="The organisation whose events it receives; null: all events of the region. Filters may limit "
        "both, and `organisation_subtree` may add organisations below"
    )
    url: str = Field(examples=["https://crm.example.org/hooks/gospablik"])
    event_types: list[WebhookSubscription] = Field(examples=[["appeal.opened", "reply.*"]])
    organisation_subtree: OrganisationSubtree
    topics: Topics
    municipalities: Municipalities
    header_names: list[str] = Field(
        description="The names of the headers that each request has besides our own", examples=[["Authorization"]]
    )
    description: str = Field(examples=["Приёмная главы"])
    personal_data: PersonalData
    personal_data_masking_reason: str | None = Field(
        default=None, description="Why personal data is masked although it was asked for; null: it is not masked"
    )
    consent_by: UUID | None = Field(default=None, description="Who consented to sending personal data")
    consent_at: datetime | None = None
    ordered: Ordered = False
    max_per_second: MaxPerSecond = None
    max_concurrency: MaxConcurrency = None
    active: bool
    paused: bool = Field(description="Whether its deliveries wait until it is resumed")
    verified_at: datetime | None = Field(
        description="When its receiver proved that it wants deliveries at this URL, by repeating the challenge of "
        "`webhook.verification`; null: it has not, and other deliveries wait"
    )
    owner_id: UUID | None = Field(
        description="The person or client who last decided where its events go: it receives what they may read now"
    )
    suspended_at: datetime | None = Field(
        default=None, description="Since when it is suspended and receives nothing; null: not suspended"
    )
    suspended_reason: str | None = Field(
        default=None, examples=["its owner lacks the right «appeals:read», which «appeal.opened» needs"]
    )
    disabled_at: datetime | None = Field(
        default=None,
        description="Since when it is inactive because its receiver failed for too long, answered 410 or was not "
        "verified; null: not disabled",
    )
    disabled_reason: str | None = Field(default=None, examples=["no delivery succeeded for 5 days"])
    created_at: datetime
    updated_at: datetime


class WebhookHealthState(StrEnum):
    """`ok`: the last attempt succeeded, or there was none; `failing`: it failed; `disabled`: nothing is sent."""

    OK = "ok"
    FAILING = "failing"
    DISABLED = "disabled"


class WebhookLastAttempt(BaseModel):
    """The last attempt of an endpoint."""

    delivery_id: UUID
    started_at: datetime
    response_status: int | None = Field(description="Null: there was no response", examples=[200])
    error: str | None = Field(description="Why it failed; null: the receiver accepted it")


class WebhookHealth(BaseModel):
    """The state of an endpoint, and its numbers of waiting and failed deliveries, each counted up to 10,000."""

    state: WebhookHealthState
    failing_since: datetime | None = Field(
        description="Since when attempts fail: the first failure after the last success, or after 30 hours "
        "without one; started again each day while no receiver answers"
    )
    consecutive_failures: int = Field(description="Failed attempts since the last success", examples=[0])
    last_success_at: datetime | None
    last_attempt: WebhookLastAttempt | None = Field(description="Null: there was none in 30 days")
    waiting: int = Field(description="Deliveries that await an attempt", examples=[0])
    failed: int = Field(description="Deliveries that have failed and can be replayed", examples=[0])


class WebhookEndpointWithHealth(WebhookEndpoint):
    """An endpoint and its health."""

    health: WebhookHealth


class WebhookEndpointWithSecret(WebhookEndpoint):
    """An endpoint and its signing secret."""

    secret: str | None = Field(
        default=None,
        description="Store it: it is shown once. Null when a repeated request returns the first response again",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )


class WebhookSecretRotation(BaseModel):
    """How a secret is rotated."""

    model_config = ConfigDict(extra="forbid")

    keep_old_hours: int = Field(
        default=ROTATION_OVERLAP // timedelta(hours=1),
        ge=0,
        le=168,
        examples=[24],
        description="For how many hours attempts are signed with the old secret too; 0: it is replaced at once",
    )


class WebhookDeliveryStatus(StrEnum):
    """`pending` awaits its (next) attempt; `failed` has no attempts left and can be retried by hand."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


_DELIVERED = {name.name: name.value for name in WebhookEventType} | {
    "TEST": TEST_EVENT_TYPE,
    "VERIFICATION": VERIFICATION_EVENT_TYPE,
}
DeliveredEventType = StrEnum("DeliveredEventType", _DELIVERED)  # type: ignore[misc]


class WebhookDelivery(BaseModel):
    """One event to be delivered to one endpoint. `event_id` is the `webhook-id` of every attempt."""

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: DeliveredEventType = Field(examples=["appeal.opened"])
    status: WebhookDeliveryStatus
    attempts: int = Field(
        description="Attempts with a recorded outcome since it was created or last retried by hand; those that "
        "failed through a fault of the sender are not counted"
    )
    next_attempt_at: datetime | None = Field(
        description="Null if it is not pending, or while it waits for an earlier delivery"
    )
    waits_for_earlier: bool = Field(
        default=False,
        description="true: it awaits the end of an earlier delivery of its subject (`ordered` endpoint)",
    )
    last_attempt_at: datetime | None
    response_status: int | None = Field(description="HTTP status of the last response", examples=[500])
    last_error: str | None = Field(description="Why the last attempt failed", examples=["HTTP 500: try later"])
    delivered_at: datetime | None
    created_at: datetime


class WebhookDeliveryWithPayload(WebhookDelivery):
    """A delivery and its body."""

    payload: dict[str, Any] | None = Field(
        description="The body, always with personal data masked; null without the right to read the event"
    )


class WebhookAttempt(BaseModel):
    """One attempt of a delivery. The response is shortened, and personal data in it is masked."""

    id: UUID
    number: int = Field(
        description="Its number since the delivery was created or last queued again; one that did not count has "
        "the same number as the next one"
    )
    started_at: datetime
    duration_ms: int = Field(examples=[84])
    response_status: int | None = Field(description="Null: there was no response", examples=[500])
    response_head: str | None = Field(
        description="The first 1,024 characters of the response's header fields, without cookies",
        examples=["content-type: text/plain\nretry-after: 120"],
    )
    response_body: str | None = Field(
        description="The start of the response's body, at most 1,024 characters; null without the right to read "
        "the event",
        examples=["try later"],
    )
    error: str | None = Field(description="Why it failed; null: the receiver accepted it", examples=["HTTP 500"])


class WebhookEventTypeInfo(BaseModel):
    """One event type of the catalogue."""

    type: DeliveredEventType = Field(examples=["appeal.opened"])
    description: str = Field(examples=["An appeal was opened"])
    right: Right = Field(examples=["appeals:read"], description="The right that a subscriber needs")
    json_schema: dict[str, Any] = Field(
        serialization_alias="schema", description="JSON Schema of the body", examples=[{"type": "object"}]
    )
    example: dict[str, Any] = Field(
        description="An example of a body",
        examples=[{"id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11", "type": "appeal.opened"}],
    )


class WebhookEventTypeList(BaseModel):
    """The whole catalogue."""

    items: list[WebhookEventTypeInfo]
