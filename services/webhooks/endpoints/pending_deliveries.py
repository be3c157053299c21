"""Pending deliveries of endpoints that stop receiving, or have been paused or unverified for too long."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, or_, select, text, update
from sqlalchemy.orm import aliased

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
    # The first pending delivery of a subject, which never waits.
    first = aliased(WebhookDelivery)
    first_due = (
        select(first.next_attempt_at)
        .where(
            first.endpoint_id == WebhookDelivery.endpoint_id,
            first.ordering_key == WebhookDelivery.ordering_key,
            first.status == inline_literal("pending"),
        )
        .order_by(first.event_position)
        .limit(1)
        .scalar_subquery()
    )
    held = (
        select(
            WebhookDelivery.id,
            WebhookDelivery.endpoint_id,
            (WebhookDelivery.next_attempt_at == text("'infinity'")).label("waits"),
        )
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(
            or_(WebhookEndpoint.paused, WebhookEndpoint.verified_at.is_(None)),
            WebhookDelivery.status == inline_literal("pending"),
            or_(
                WebhookDelivery.next_attempt_at < now - term,
                # One that waits for an earlier delivery of its subject is due at no time; what was replayed waits
                # for one that has been due for a short time.
                and_(
                    WebhookDelivery.next_attempt_at == text("'infinity'"),
                    WebhookDelivery.created_at < now - term,
                    first_due < now - term,
                ),
            ),
        )
        # Those that wait come first: without the first one, they could not be told from what was replayed.
        .order_by(WebhookDelivery.next_attempt_at.desc(), WebhookDelivery.event_position.desc())
        .limit(HELD_BATCH)
    )
    rows = (await session.execute(held)).all()
    if not rows:
        return 0
    # Turns are locked before deliveries.
    await claim_turns.share(session, {row.endpoint_id for row in rows})
    # Nothing waits for one that waits itself: it is not the first one of its subject.
    ended = [row.id for row in rows if not row.waits]
    await ordering.wake_following(session, ended, now, also_lock=[row.id for row in rows])
    await session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id.in_([row.id for row in rows]), WebhookDelivery.status == inline_literal("pending")
        )
        .values(
            status="failed",
            last_error=f"the endpoint was paused or not verified for {term / timedelta(days=1):g} days",
        )
        .execution_options(synchronize_session=False)
    )
    return len(rows)
