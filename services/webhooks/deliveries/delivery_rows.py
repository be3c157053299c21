"""Build the rows of deliveries: which endpoints receive an event, and the body for each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.webhooks.endpoints.entitlements import Entitlement
from services.webhooks.event_catalogue import message_text
from services.webhooks.event_catalogue.catalogue import delivery_body_of_event
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.common import Event
from shared.tables.registry import Organisation


@dataclass(frozen=True)
class Subscriber:
    """An endpoint that may receive events; the caller has locked its row."""

    id: UUID
    organisation_id: UUID | None
    event_types: Sequence[str]

    def receives(self, event: Event) -> bool:
        """Return whether the endpoint subscribes to the event's type and organisation."""
        return event.type in self.event_types and self.organisation_id in {None, event.organisation_id}


async def delivery_rows(
    session: WriteSession,
    events: Sequence[Event],
    subscribers: Sequence[Subscriber],
    entitled: Mapping[UUID, Entitlement],
    now: datetime,
    *,
    without_text: Collection[UUID] = (),
) -> list[dict[str, Any]]:
    """Return a row for each event and each endpoint that receives it, due now, in the order of the events.

    `without_text`: ids of events whose bodies get no text of the citizen.
    """
    names = await _names(session, {event.organisation_id for event in events if event.organisation_id})
    event_types = {kind for subscriber in subscribers for kind in subscriber.event_types}
    texts = await message_text.load_message_texts(
        session, [event for event in events if event.type in event_types and event.id not in without_text]
    )
    rows = []
    for event in events:
        receivers = [subscriber for subscriber in subscribers if subscriber.receives(event)]
        if not receivers:
            continue
        payloads = {
            full: delivery_body_of_event(event, names, texts.get(event.id), personal_data=full)
            for full in {entitled[receiver.id].masking_reason is None for receiver in receivers}
        }
        rows += [
            {
                "id": new_id(),
                "endpoint_id": receiver.id,
                "event_id": event.id,
                "event_type": event.type,
                "organisation_id": receiver.organisation_id,
                "payload": payloads[entitled[receiver.id].masking_reason is None],
                "status": "pending",
                "attempts": 0,
                "next_attempt_at": now,
                "created_at": now,
            }
            for receiver in receivers
        ]
    return rows


async def _names(session: WriteSession, organisations: set[UUID]) -> dict[UUID, str]:
    if not organisations:
        return {}
    rows = await session.execute(
        select(Organisation.id, Organisation.name).where(Organisation.id.in_(organisations))
    )
    return {row.id: row.name for row in rows}
