"""Pending deliveries of endpoints that stop receiving."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import update

from shared.audit import recorder
from shared.database.sessions import WriteSession
from shared.tables.webhooks import WebhookDelivery


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
    """Mark these deliveries as failed, each with its reason."""
    for delivery_id, reason in sorted(reasons.items()):
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id, WebhookDelivery.status == "pending")
            .values(status="failed", last_error=reason)
            .execution_options(synchronize_session=False)
        )
