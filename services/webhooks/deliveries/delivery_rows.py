"""Build the rows of deliveries: which endpoints receive an event, and the body for each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Row, select

from services.webhooks.deliveries.event_subjects import EventSubject, load_subjects
from services.webhooks.endpoints.entitlements import Entitlement
from services.webhooks.endpoints.ordering import ordering_key
from services.webhooks.event_catalogue import message_text
from services.webhooks.event_catalogue.catalogue import delivery_body_of_event, subscribed_types
from shared import clock
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.common import Event
from shared.tables.registry import Organisation
from shared.tables.webhooks import WebhookEndpoint


@dataclass(frozen=True)
class Subscriber:
    """An endpoint that may receive events; the caller has locked its row."""

    id: UUID
    organisation_id: UUID | None
    event_types: Sequence[str]
    organisation_subtree: frozenset[UUID]
    topics: frozenset[UUID]
    municipalities: frozenset[str]

    @classmethod
    def of(cls, row: WebhookEndpoint | Row[*tuple[Any, ...]]) -> Self:
        """Return the subscriber of an endpoint's row."""
        return cls(
            row.id,
            row.organisation_id,
            subscribed_types(row.event_types),
            frozenset(row.organisation_subtree),
            frozenset(row.topics),
            frozenset(row.municipalities),
        )

    def receives(self, event: Event, subject: EventSubject, entitlement: Entitlement) -> bool:
        """Return whether the endpoint subscribes to the event's type and organisation, its filters match, and its
        owner may read events of this organisation.
        """
        if event.type not in self.event_types or not subject.matches(event.type, self):
            return False
        if self.organisation_id in {None, event.organisation_id}:
            return True
        return (
            bool(self.organisation_subtree)
            and event.organisation_id is not None
            and entitlement.subordinate_refusal_reason(event.type, event.organisation_id, subject.lineage) is None
        )


async def delivery_rows(
    session: WriteSession,
    events: Sequence[Event],
    subscribers: Sequence[Subscriber],
    entitled: Mapping[UUID, Entitlement],
    due_at: datetime,
    *,
    without_text: Collection[UUID] = (),
) -> list[dict[str, Any]]:
    """Return a row for each event and each endpoint that receives it, in the order of the events.

    `due_at`: when the deliveries are due, by the database's clock. `without_text`: ids of events whose bodies get
    no text of the citizen.
    """
    names = await _names(session, {event.organisation_id for event in events if event.organisation_id})
    event_types = {kind for subscriber in subscribers for kind in subscriber.event_types}
    texts = await message_text.load_message_texts(
        session, [event for event in events if event.type in event_types and event.id not in without_text]
    )
    subjects = await load_subjects(session, events, subscribers)
    created_at = clock.now()
    rows = []
    for event in events:
        subject = subjects[event.id]
        receivers = [one for one in subscribers if one.receives(event, subject, entitled[one.id])]
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
                "ordering_key": ordering_key(event),
                "event_position": event.position,
                "organisation_id": receiver.organisation_id,
                "payload": payloads[entitled[receiver.id].masking_reason is None],
                "status": "pending",
                "attempts": 0,
                "uncounted_attempts": 0,
                "next_attempt_at": due_at,
                "created_at": created_at,
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
