"""Pending deliveries of endpoints that stop receiving, or have been paused or unverified for too long."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update
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
    """Mark the pending deliveries of these endpoints as failed, with the reason; they can be retried by hand.

    The caller has locked the endpoints exclusively, so that none gets another pending delivery meanwhile.
    """
    await lock_deliveries(session, ids, WebhookDelivery.status == inline_literal("pending"))
    await session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id.in_(ids), WebhookDelivery.status == "pending")
        .values(status="failed", last_error=reason)
        .execution_options(synchronize_session=False)
    )
    # No audit rows of deliveries: the endpoint's audit row explains why they failed.
    await recorder.record(session, WebhookDelivery)


async def lock_deliveries(
    session: WriteSession, endpoint_ids: Sequence[UUID], *wanted: ColumnElement[bool]
) -> None:
    """Lock these endpoints' deliveries by id, as everywhere: a statement that changes them would lock them in the
    order in which it finds them, which could deadlock.
    """
    locked = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.endpoint_id.in_(endpoint_ids), *wanted)
        .order_by(WebhookDelivery.id)
        .with_for_update()
        .subquery()
    )
    await session.execute(select(func.count()).select_from(locked))


async def fail_deliveries(session: WriteSession, reasons: Mapping[UUID, str]) -> None:
    """Mark these deliveries as failed, each with its reason; those that waited for them become due."""
    await ordering.wake_following(session, list(reasons))
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
    waits = WebhookDelivery.next_attempt_at == text("'infinity'")
    # Due times are by the database's clock.
    has_been_due = or_(
        WebhookDelivery.next_attempt_at < func.now() - term,
        # A delivery that waits for an earlier one of its subject has no due time; a replayed one waits for one
        # that became due recently.
        and_(waits, WebhookDelivery.created_at < clock.now() - term, first_due < func.now() - term),
    )
    is_held = or_(WebhookEndpoint.paused, WebhookEndpoint.verified_at.is_(None))
    held = (
        select(
            WebhookDelivery.id,
            WebhookDelivery.endpoint_id,
            waits.label("waits"),
        )
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(is_held, WebhookDelivery.status == inline_literal("pending"), has_been_due)
        # Deliveries that wait for an earlier one fail before it: once it has failed, the next one of its subject
        # is due, and later rounds would skip all that wait behind it.
        .order_by(WebhookDelivery.next_attempt_at.desc(), WebhookDelivery.event_position.desc())
        .limit(HELD_BATCH)
    )
    found = (await session.execute(held)).all()
    if not found:
        return 0
    # Endpoints are locked before turns, and these before deliveries. Meanwhile an endpoint may have been resumed
    # or verified: then its deliveries are sent.
    still_held = set(
        await session.scalars(
            select(WebhookEndpoint.id)
            .where(WebhookEndpoint.id.in_({row.endpoint_id for row in found}), is_held)
            .order_by(WebhookEndpoint.id)
            .with_for_update(read=True)
        )
    )
    rows = [row for row in found if row.endpoint_id in still_held]
    if not rows:
        return 0
    await claim_turns.share(session, still_held)
    # Nothing waits for a delivery that waits itself: it is not the first one of its subject.
    ended = [row.id for row in rows if not row.waits]
    await ordering.wake_following(session, ended, also_lock=[row.id for row in rows])
    failed = await session.scalars(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id.in_([row.id for row in rows]),
            WebhookDelivery.status == inline_literal("pending"),
            # One that was requested again meanwhile has become due just now.
            or_(waits, WebhookDelivery.next_attempt_at < func.now() - term),
        )
        .values(
            status="failed",
            last_error=f"the endpoint was paused or not verified for {term / timedelta(days=1):g} days",
        )
        .returning(WebhookDelivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(failed.all())
