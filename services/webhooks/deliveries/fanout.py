"""Fan-out of events: one delivery per event and subscribed endpoint.

Deliveries are written in the transaction that moves the consumer's offset.
"""

from collections.abc import Sequence

from sqlalchemy import func, select

from services.webhooks.deliveries.delivery_rows import Subscriber, delivery_rows
from services.webhooks.endpoints import entitlements
from services.webhooks.settings import webhooks_settings
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.tables.common import Event
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

# The name of the consumer that calls `fan_out`.
CONSUMER = "webhooks-fanout"


async def fan_out(session: WriteSession, events: Sequence[Event]) -> None:
    """Write a delivery for each event and each endpoint that subscribes to it and whose owner may read it.

    Endpoints whose owner has lost the rights are suspended first.
    """
    hosts = webhooks_settings().webhooks_personal_data_hosts
    entitled = await entitlements.load_entitlements(session, hosts)
    await entitlements.suspend_unentitled(session, entitled)
    # Shared locks wait for a concurrent change or deletion of an endpoint, so that the change is seen here.
    endpoints = (
        await session.execute(
            select(
                WebhookEndpoint.id,
                WebhookEndpoint.organisation_id,
                WebhookEndpoint.event_types,
                WebhookEndpoint.organisation_subtree,
                WebhookEndpoint.topics,
                WebhookEndpoint.municipalities,
                func.now().label("now"),
            )
            .where(
                WebhookEndpoint.active, WebhookEndpoint.suspended_at.is_(None), WebhookEndpoint.id.in_(entitled)
            )
            .order_by(WebhookEndpoint.id)
            .with_for_update(read=True)
        )
    ).all()
    if not endpoints:
        return
    subscribers = [Subscriber.of(row) for row in endpoints]
    rows = await delivery_rows(session, events, subscribers, entitled, endpoints[0].now)
    await insert_rows(session, WebhookDelivery, rows, skip_conflicts=True)


# Events about changed access, consumed too: endpoints whose owner has lost the rights are suspended even if no
# deliverable event comes.
ACCESS_EVENT_TYPES = ("person.changed", "client.changed", "organisation.changed")
