"""Tables of webhooks: endpoints and signed deliveries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import common, registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, ConsumerOffsetMixin, CreatedAt, Id, IdempotencyMixin, UpdatedAt


class WebhookEndpoint(Base):
    """A webhook endpoint of another system; `secret` and `headers` are encrypted and readable only by webhooks.

    `owner_id` is the person or client whose rights limit its events; if the owner loses them, the endpoint
    is suspended.
    `verified_at` is when its receiver proved that it wants deliveries at this URL; null: only the delivery
    `verification_id`, with the challenge, is sent.
    `consent_by` is the person who consented to unmasked personal data, if any.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[Id]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    url: Mapped[str]
    description: Mapped[str]
    event_types: Mapped[list[str]]
    # Filters: an event must match each that is not empty.
    organisation_subtree: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), default=list, server_default="{}")
    topics: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), default=list, server_default="{}")
    municipalities: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    # Headers that each attempt has besides our own, null if there are none, and their names.
    headers: Mapped[bytes | None] = mapped_column(LargeBinary)
    header_names: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    active: Mapped[bool] = mapped_column(default=True)
    # While it is paused, deliveries are created and wait.
    paused: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Whether texts are sent unmasked; otherwise phones, names and other personal data are masked.
    personal_data: Mapped[bool] = mapped_column(default=False)
    # `evaluates_none`: None is stored instead of the server's default.
    verified_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True).evaluates_none(), server_default=func.now()
    )
    verification_id: Mapped[UUID | None]
    # Whether the events of one subject are sent one after another, and the maximum rate and concurrency.
    ordered: Mapped[bool] = mapped_column(default=False, server_default=false())
    max_per_second: Mapped[int | None]
    max_concurrency: Mapped[int | None]
    created_by: Mapped[str]
    owner_id: Mapped[UUID | None]
    consent_by: Mapped[UUID | None]
    consent_at: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]
    suspended_reason: Mapped[str | None]
    # When and why the worker disabled the endpoint; null if the worker did not.
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class WebhookEndpointHealth(Base):
    """The health of an endpoint that has been called; times are by the database's clock.

    `failing_since` is the time of the first failure after the last success, or after a longer time without
    attempts; `last_answer_at`, when the receiver last sent a response, whatever its status; `last_delivery_id`,
    the delivery of the last attempt.
    """

    __tablename__ = "webhook_endpoint_health"

    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True
    )
    failing_since: Mapped[datetime | None]
    consecutive_failures: Mapped[int]
    last_failure_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_answer_at: Mapped[datetime | None]
    last_delivery_id: Mapped[UUID | None]


class WebhookDelivery(Base):
    """The delivery of an event to an endpoint; `event_id` is the `webhook-id` of all attempts.

    `organisation_id` is the endpoint's organisation and determines who may see the delivery.
    `ordering_key` is the subject whose events an ordered endpoint gets in the order of `event_position`; both are
    null for a test, and for deliveries from before migration 0070: these neither wait nor delay others.
    `next_attempt_at` is infinity while the delivery waits for an earlier one of its subject. `leased_until` is the
    end of the lease of the last claim: while the lease holds, it equals `next_attempt_at`. These times, and
    `last_attempt_at`, the time of the last claim, are by the database's clock.
    `attempts` counts recorded attempts; `uncounted_attempts` those claimed since the last one that was counted:
    their outcome was never recorded, or they failed through a fault of our own.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        # For the check of the foreign key when an event is deleted.
        Index("ix_webhook_deliveries_event_id", "event_id"),
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_webhook_deliveries_order",
            "endpoint_id",
            "ordering_key",
            "event_position",
            postgresql_where=text("status = 'pending' AND ordering_key IS NOT NULL"),
        ),
        Index("ix_webhook_deliveries_endpoint_id_created_at", "endpoint_id", "created_at", "id"),
        Index("ix_webhook_deliveries_organisation_id_created_at", "organisation_id", "created_at", "id"),
        Index("ix_webhook_deliveries_created_at", "created_at", "id"),
        Index("ix_webhook_deliveries_failed", "created_at", "id", postgresql_where=text("status = 'failed'")),
        Index(
            "ix_webhook_deliveries_endpoint_id_failed",
            "endpoint_id",
            "created_at",
            "id",
            postgresql_where=text("status = 'failed'"),
        ),
    )

    id: Mapped[Id]
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id"))
    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id"))
    event_type: Mapped[str]
    ordering_key: Mapped[UUID | None]
    event_position: Mapped[int | None] = mapped_column(BigInteger)
    organisation_id: Mapped[UUID | None]
    payload: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    uncounted_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    next_attempt_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    response_status: Mapped[int | None]
    last_error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class WebhookClaimTurn(Base):
    """The lock for claims of deliveries of an endpoint with an order or a limit.

    A claim locks the row exclusively, so that at most one worker claims deliveries of the endpoint; a worker that
    ends a delivery of an ordered endpoint takes a shared lock. `next_send_at`: when the next request may be sent,
    by the database's clock.
    """

    __tablename__ = "webhook_claim_turns"

    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True
    )
    next_send_at: Mapped[datetime]


class WebhookAttempt(Base):
    """One attempt of a delivery; `number` counts from 1 since the delivery was made or last queued again. One that
    did not count has the same number as the next one.

    The stored start of the response may repeat a citizen's text, so only webhooks may read it. `error` is null if
    the receiver accepted it.
    """

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index("ix_webhook_attempts_started_at", "started_at"),)

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    id: Mapped[Id]
    number: Mapped[int]
    started_at: Mapped[datetime]
    duration_ms: Mapped[int]
    response_status: Mapped[int | None]
    response_head: Mapped[str | None]
    response_body: Mapped[str | None]
    error: Mapped[str | None]


class StreamTicket(Base):
    """A ticket that opens one event stream until `expires_at`, by the database's clock; deleted when it is used.

    `claims` are the caller's claims, as in the access token but without the name.
    """

    __tablename__ = "stream_tickets"

    digest: Mapped[str] = mapped_column(primary_key=True)
    claims: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class WebhooksConsumerOffset(ConsumerOffsetMixin, Base):
    __tablename__ = "webhooks_consumer_offsets"


class WebhooksIdempotency(IdempotencyMixin, Base):
    __tablename__ = "webhooks_idempotency"
