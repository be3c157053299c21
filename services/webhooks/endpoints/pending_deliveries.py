"""Pending deliveries of endpoints that stop receiving, or have been paused or unverified for too long."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, or_, select, text, update

from services.webhooks.endpoints import claim_turns, ordering
from shared import clock
from shared.api.pagination import inline_literal
from shared.audit import recorder
from shared.database.sessions import Database, WriteSession
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

# Deliveries that one transaction of `fail_held` changes.
HELD_BATCH = 2_000


async def fail_for_endpoints(session: WriteSession, ids: Sequence[UUID], reason: str) -> None:
    """Mark the pending deliveries of these endpoints as failed, with the reason; they can be retried by hand."""
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id.in_(ids), WebhookDelivery.status == "pending")
        .values(status="failed", last_error=reason)
        .execution_options(synchronize_session=False)
    )
    # No audit rows of deliveries: the endpoint's audit row explains why they failed.
    await recorder.record(session, WebhookDelivery)


async def fail_deliveries(session: WriteSession, reasons: Mapping[UUID, str]) -> None:
    """Mark these deliveries as failed, each with its reason; what waited for them becomes due."""
    await ordering.wake_following(session, list(reasons), clock.now())
    for delivery_id, reason in sorted(reasons.items()):
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id, WebhookDelivery.status == "pending")
            .values(status="failed", last_error=reason)
            .execution_options(synchronize_session=False)
        )


async def fail_held(database: Database, term: timedelta) -> int:
    """Mark deliveries as failed that have been due for longer than `term` at an endpoint that is paused or not
    verified; return how many.

    They can be replayed. A waiting delivery keeps its event, and with it all later ones, from being purged, so
    none may wait forever.
    """
    count = 0
    while True:
        async with database.write() as session:
            failed = await _fail_some_held(session, term)
        count += failed
        if failed < HELD_BATCH:
            return count


async def _fail_some_held(session: WriteSession, term: timedelta) -> int:
    now = clock.now()
    held = (
        select(WebhookDelivery.id, WebhookDelivery.endpoint_id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            or_(WebhookEndpoint.paused, WebhookEndpoint.verified_at.is_(None)),
            WebhookDelivery.status == inline_literal("pending"),
            or_(
                WebhookDelivery.next_attempt_at < now - term,
                # One that waits for an earlier delivery of its subject is due at no time.
                and_(
                    WebhookDelivery.next_attempt_at == text("'infinity'"), WebhookDelivery.created_at < now - term
                ),
            ),
        )
        .limit(HELD_BATCH)
    )
    rows = (await session.execute(held)).all()
    if not rows:
        return 0
    # Turns are locked before deliveries.
    await claim_turns.share(session, {row.endpoint_id for row in rows})
    failed = await session.scalars(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id.in_([row.id for row in rows]), WebhookDelivery.status == inline_literal("pending")
        )
        .values(
            status="failed",
            last_error=f"the endpoint was paused or not verified for {term / timedelta(days=1):g} days",
        )
        .returning(WebhookDelivery.id)
        .execution_options(synchronize_session=False)
    )
    ids = failed.all()
    await ordering.wake_following(session, ids, now)
    return len(rows)
