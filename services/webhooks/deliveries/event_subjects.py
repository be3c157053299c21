"""What the filters of endpoints compare: the organisation of an event, and the topic and municipality of its
subject.

Topic and municipality are those at the time of the event, which its data contains. An alert names only an appeal
or incident: theirs are read now.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.webhooks.endpoints.entitlements import lineages_of
from shared.contracts.ingest_events import AuthorErased
from shared.database.id_conditions import is_one_of
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_incidents import Incident
from shared.tables.common import Event

# Sent regardless of topics and municipalities: a receiver that stores citizens' texts must know which to erase.
# The event names appeals only by their ids.
UNCLASSIFIED_EVENT_TYPES = frozenset({AuthorErased.event_type})


class Filters(Protocol):
    """Filters of an endpoint; an empty one matches every event."""

    @property
    def organisation_subtree(self) -> Collection[UUID]:
        """Ids of organisations: an event's organisation must be one of them or under one."""

    @property
    def topics(self) -> Collection[UUID]:
        """Ids of topics and topic groups."""

    @property
    def municipalities(self) -> Collection[str]:
        """OKTMO codes."""


@dataclass(frozen=True)
class Classification:
    """A topic, with the id of its group, and a municipality."""

    topics: frozenset[UUID]
    municipality: str | None

    def matches(self, filters: Filters) -> bool:
        """Return whether the topic or its group, and the municipality, are among those of the filters."""
        return (not filters.topics or not self.topics.isdisjoint(filters.topics)) and (
            not filters.municipalities or self.municipality in filters.municipalities
        )


@dataclass(frozen=True)
class EventSubject:
    """What an event is about. A reclassified appeal has two classifications: before and after."""

    lineage: Sequence[UUID] = ()
    classifications: Sequence[Classification] = ()

    def matches(self, event_type: str, filters: Filters) -> bool:
        """Return whether an event of this type matches all filters."""
        if filters.organisation_subtree and not set(filters.organisation_subtree) & set(self.lineage):
            return False
        if event_type in UNCLASSIFIED_EVENT_TYPES or not (filters.topics or filters.municipalities):
            return True
        return any(one.matches(filters) for one in self.classifications)


_NO_SUBJECT = EventSubject()


async def load_subjects(
    session: AsyncSession, events: Sequence[Event], filters: Collection[Filters]
) -> Mapping[UUID, EventSubject]:
    """Return the subjects of the events by event id, with what these filters compare."""
    lineages: Mapping[UUID, Sequence[UUID]] = {}
    if any(one.organisation_subtree for one in filters):
        lineages = await lineages_of(session, {event.organisation_id for event in events if event.organisation_id})
    classified: Mapping[UUID, Sequence[Classification]] = {}
    if any(one.topics or one.municipalities for one in filters):
        classified = await _classifications(session, events)
    if not lineages and not classified:
        return dict.fromkeys((event.id for event in events), _NO_SUBJECT)
    return {
        event.id: EventSubject(
            lineage=lineages.get(event.organisation_id, ()) if event.organisation_id else (),
            classifications=classified.get(event.id, ()),
        )
        for event in events
    }


async def _classifications(session: AsyncSession, events: Sequence[Event]) -> dict[UUID, Sequence[Classification]]:
    of_subjects = await _of_subjects(session, events)
    states = {event.id: _states(event.data, of_subjects) for event in events}
    topic_ids = {state[0] for found in states.values() for state in found if state[0] is not None}
    groups = {}
    if topic_ids:
        rows = await session.execute(select(Topic.id, Topic.group_id).where(is_one_of(Topic.id, topic_ids)))
        groups = {row.id: row.group_id for row in rows}
    return {
        event_id: [
            Classification(
                frozenset(found for found in (topic_id, groups.get(topic_id)) if found is not None), municipality
            )
            for topic_id, municipality in found
        ]
        for event_id, found in states.items()
    }


# A topic and a municipality.
_State = tuple[UUID | None, str | None]


def _states(data: Mapping[str, Any], of_subjects: Mapping[str, _State]) -> list[_State]:
    """Return topic and municipality from the event's data, or those of the appeal or incident that it names."""
    snapshots = [data] if "topic_id" in data else []
    # A receiver of the former topic must learn that the appeal has another one now.
    if isinstance(before := data.get("before"), Mapping) and "topic_id" in before:
        snapshots.append(before)
    states = [
        (None if one["topic_id"] is None else UUID(one["topic_id"]), one.get("municipality")) for one in snapshots
    ]
    return states or [of_subjects[name] for name in _named(data) if name in of_subjects]


def _named(data: Mapping[str, Any]) -> list[str]:
    return [named for field in ("appeal_id", "incident_id") if (named := data.get(field)) is not None]


async def _of_subjects(session: AsyncSession, events: Sequence[Event]) -> dict[str, _State]:
    """Return topic and municipality of the appeals and incidents that events without a topic name, by id."""
    ids = {UUID(named) for event in events if "topic_id" not in event.data for named in _named(event.data)}
    if not ids:
        return {}
    rows = await session.execute(
        select(Appeal.id, Appeal.topic_id, Appeal.municipality)
        .where(is_one_of(Appeal.id, ids))
        .union_all(
            select(Incident.id, Incident.topic_id, Incident.municipality).where(is_one_of(Incident.id, ids))
        )
    )
    return {str(row.id): (row.topic_id, row.municipality) for row in rows}
