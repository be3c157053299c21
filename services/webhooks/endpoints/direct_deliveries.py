"""Deliveries that are requested for one endpoint: tests, and verifications of its URL. Their rate is limited."""

import math
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CompoundSelect, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.event_catalogue.catalogue import DIRECT_EVENT_TYPES, delivery_body
from shared import clock
from shared.contracts.webhook_events import WebhookTest, WebhookVerification
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import TooManyRequests
from shared.http.rate_limit import rate_limit_headers
from shared.tables.common import Event
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

RATE_WINDOW = timedelta(minutes=1)


async def queue(
    session: WriteSession,
    endpoint: WebhookEndpoint,
    actor: str,
    data: WebhookTest | WebhookVerification,
    delivery_id: UUID,
) -> WebhookDelivery:
    """Queue a delivery of this event to the endpoint, whatever it subscribes to; return it."""
    now = clock.now()
    await emit(
        session,
        NewEvent(
            data=data,
            subject_id=delivery_id,
            organisation_id=endpoint.organisation_id,
            actor=actor,
            occurred_at=now,
        ),
    )
    event_id = await session.scalar(select(Event.id).where(Event.subject_id == delivery_id))
    delivery = WebhookDelivery(
        id=delivery_id,
        endpoint_id=endpoint.id,
        event_id=event_id,
        event_type=data.event_type,
        organisation_id=endpoint.organisation_id,
        payload=delivery_body(data.event_type, now, data.to_stored(), event_id=event_id),
        status="pending",
        attempts=0,
        next_attempt_at=await session.scalar(select(func.clock_timestamp())),
    )
    session.add(delivery)
    await session.flush()
    return delivery


def limit_headers(limit: int, remaining: int, reset: int) -> dict[str, str]:
    """Return the `RateLimit` headers of tests and verifications."""
    return rate_limit_headers("webhook-tests", limit, int(RATE_WINDOW.total_seconds()), remaining, reset)


async def take_from_limit(session: AsyncSession, organisation_id: UUID | None, limit: int) -> int:
    """Return how many more deliveries may be requested this minute after the one that is requested now.

    Raise `TooManyRequests` beyond `limit`. Other requests of the organisation wait for the end of the transaction.
    """
    await session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"webhook tests\n{organisation_id}", 0)))
    )
    now = clock.now()
    # Events are counted, because deliveries are deleted with their endpoint.
    sent = sorted(
        [
            sent_at
            for event_type in DIRECT_EVENT_TYPES
            for sent_at in await session.scalars(_sent_since(event_type, organisation_id, now - RATE_WINDOW))
        ]
    )
    if len(sent) >= limit:
        wait = max(math.ceil((sent[-limit] + RATE_WINDOW - now).total_seconds()), 1)
        raise TooManyRequests(
            f"An organisation may request at most {limit} tests and verifications of URLs per minute: try again "
            f"in {wait} s",
            headers={"Retry-After": str(wait), **limit_headers(limit, 0, wait)},
        )
    return limit - len(sent) - 1


def _sent_since(event_type: str, organisation_id: UUID | None, since: datetime) -> CompoundSelect[datetime]:
    """Return the query for the times of the organisation's events of this type."""
    # No index contains the time: the position of the last event that is certainly too old bounds what is read.
    before = (
        select(Event.position)
        .where(Event.type == event_type, Event.position.is_not(None), Event.created_at < since - RATE_WINDOW)
        .order_by(Event.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    sent = select(Event.created_at).where(
        Event.type == event_type,
        Event.organisation_id.is_not_distinct_from(organisation_id),
        Event.created_at > since,
    )
    return union_all(sent.where(Event.position > func.coalesce(before, -1)), sent.where(Event.position.is_(None)))
