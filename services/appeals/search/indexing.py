"""Keeps search documents up to date: after events, after renaming an organisation, and for appeals without
documents.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from services.appeals.search.documents import index_appeals
from shared.contracts.appeal_events import AppealMerged, AppealUnmerged
from shared.contracts.registry_events import OrganisationChanged
from shared.contracts.stored_events import parse_event
from shared.database.sessions import Database, WriteSession
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_search import RANGE_SIZE, SearchDocument
from shared.tables.common import Event

_MESSAGE_EVENT_TYPES = ("message.edited",)
_ORGANISATION_EVENT_TYPES = ("organisation.changed",)
_MERGE_EVENT_TYPES = ("appeal.merged", "appeal.unmerged")
# Events after which the texts, the location or the organisation in the documents of an appeal may differ.
_APPEAL_EVENT_TYPES = (
    "appeal.opened",
    "appeal.message_added",
    "appeal.message_split_off",
    "appeal.assigned",
    "appeal.moved",
    "appeal.reclassified",
    "appeal.note_added",
    "appeal.answered",
    *_MERGE_EVENT_TYPES,
    "appeal.reopened",
    "reply.queued",
    "reply.edited",
    "reply.withdrawn",
)
INDEXED_EVENT_TYPES = (*_APPEAL_EVENT_TYPES, *_MESSAGE_EVENT_TYPES, *_ORGANISATION_EVENT_TYPES)
BATCH = 500


async def handle_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Rebuild the documents of the appeals that these events are about. Idempotent."""
    appeals = {event.subject_id for event in events if event.type in _APPEAL_EVENT_TYPES}
    appeals |= {_other_appeal(event) for event in events if event.type in _MERGE_EVENT_TYPES}
    messages = {event.subject_id for event in events if event.type in _MESSAGE_EVENT_TYPES}
    if messages:
        appeals |= set(
            await session.scalars(select(AppealMessage.appeal_id).where(AppealMessage.message_id.in_(messages)))
        )
    await index_appeals(session, sorted(appeals))
    for event in events:
        if event.type in _ORGANISATION_EVENT_TYPES:
            data = parse_event(event)
            if isinstance(data, OrganisationChanged) and "name" in data.changed:
                payload = {"organisation_id": str(event.subject_id)}
                await jobs.queue.enqueue(session, jobs.INDEX_ORGANISATION, payload)


def _other_appeal(event: Event) -> UUID:
    """Return the id of the appeal that got the messages, or gave them back; the event's subject is the merged
    appeal.
    """
    data = parse_event(event)
    if isinstance(data, AppealUnmerged):
        return data.from_id
    if isinstance(data, AppealMerged):
        return data.into_id
    raise TypeError(f"«{event.type}» is not an event of a merge")


async def index_organisation(database: Database, organisation_id: UUID) -> None:
    """Rebuild the documents of all appeals of an organisation, because they contain its name."""
    after = 0
    while True:
        async with database.write() as session:
            found = await _next_appeals(session, Appeal.organisation_id == organisation_id, after)
            await index_appeals(session, [appeal_id for appeal_id, _ in found])
        if len(found) < BATCH:
            return
        after = found[-1][1]


async def index_missing(database: Database) -> int:
    """Build the documents of appeals that have none, such as restored appeals. Return how many."""
    count = 0
    async with database.read() as reader:
        last = await reader.scalar(select(func.coalesce(func.max(Appeal.number), 0))) or 0
    for first in range(0, last + 1, RANGE_SIZE):
        while True:
            async with database.write() as session:
                documented = select(SearchDocument.id).where(SearchDocument.id == Appeal.id).exists()
                in_range = Appeal.number.between(first, first + RANGE_SIZE - 1)
                found = await _next_appeals(session, in_range & ~documented, first - 1)
                await index_appeals(session, [appeal_id for appeal_id, _ in found])
            count += len(found)
            if len(found) < BATCH:
                break
    return count


async def _next_appeals(
    session: AsyncSession, condition: ColumnElement[bool], after: int
) -> list[tuple[UUID, int]]:
    rows = await session.execute(
        select(Appeal.id, Appeal.number)
        .where(condition, Appeal.number > after)
        .order_by(Appeal.number)
        .limit(BATCH)
    )
    return [(appeal_id, number) for appeal_id, number in rows]
