"""Fan-out of events to deliveries: one per event and endpoint.

Deliveries are written in the transaction that moves the consumer's offset.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from services.webhooks.endpoints import entitlements
from services.webhooks.event_catalogue import message_text
from services.webhooks.event_catalogue.catalogue import delivery_body_of_event
from services.webhooks.settings import webhooks_settings
from shared import clock
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.common import Event
from shared.tables.registry import Organisation
from shared.tables.webhooks import WebhookDelivery, WebhookEndpoint

# The name of the consumer that calls `fan_out`.
CONSUMER = "webhooks-fanout"


async def fan_out(session: WriteSession, events: Sequence[Event]) -> None:
    """Write a delivery for each event and each endpoint that subscribes to it and whose owner may read it.

    Endpoints whose owner has lost the rights are suspended first; registry's events about changed access trigger
    this.
    """
    hosts = webhooks_settings().webhooks_personal_data_hosts
    entitled = await entitlements.load_entitlements(session, hosts)
    await entitlements.suspend_unentitled(session, entitled)
    # Shared locks: wait for a concurrent change or deletion of an endpoint, so that no delivery misses it.
    endpoints = (
        await session.execute(
            select(
                WebhookEndpoint.id,
                WebhookEndpoint.organisation_id,
                WebhookEndpoint.event_types,
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
    names = await _names(session, {event.organisation_id for event in events if event.organisation_id})
    event_types = {kind for endpoint in endpoints for kind in endpoint.event_types}
    texts = await message_text.load_message_texts(
        session, [event for event in events if event.type in event_types]
    )
    now = clock.now()
    rows = []
    for event in events:
        subscribed = [
            endpoint
            for endpoint in endpoints
            if event.type in endpoint.event_types and endpoint.organisation_id in {None, event.organisation_id}
        ]
        if not subscribed:
            continue
        payloads = {
            full: delivery_body_of_event(event, names, texts.get(event.id), personal_data=full)
            for full in {entitled[endpoint.id].masking_reason is None for endpoint in subscribed}
        }
        rows += [
            {
                "id": new_id(),
                "endpoint_id": endpoint.id,
                "event_id": event.id,
                "event_type": event.type,
                "organisation_id": endpoint.organisation_id,
                "payload": payloads[entitled[endpoint.id].masking_reason is None],
                "status": "pending",
                "attempts": 0,
                "next_attempt_at": now,
                "created_at": now,
            }
            for endpoint in subscribed
        ]
    await insert_rows(session, WebhookDelivery, rows, skip_conflicts=True)


async def _names(session: WriteSession, organisations: set[UUID]) -> dict[UUID, str]:
    if not organisations:
        return {}
    rows = await session.execute(
        select(Organisation.id, Organisation.name).where(Organisation.id.in_(organisations))
    )
    return {row.id: row.name for row in rows}


# Events about changed access: they suspend endpoints whose owner has lost the rights, even without other events.
ACCESS_EVENT_TYPES = ("person.changed", "client.changed", "organisation.changed")
