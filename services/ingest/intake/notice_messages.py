"""Messages with notices to colleagues: stored in a page's conversation, but shown to the centre only.

A notice is about appeals of the reader's own organisation, which is seldom the one that owns the page. Events of
these messages belong to no organisation, so that feeds and webhooks show them to the centre only.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.api.pagination import inline_literal
from shared.auth.callers import Caller
from shared.contracts.notice_codes import NOTICES_ACTOR, read_code
from shared.tables.ingest import Message, Publication


def visible_publications(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the SQL conditions for the publications that the caller may see."""
    if caller.is_region_wide:
        return []
    # Inlined: with a parameter the planner expects one row, and sorts all publications of the organisation.
    not_of_notices = Publication.on_behalf_of != inline_literal(NOTICES_ACTOR)
    return [caller.scope(Publication.organisation_id), not_of_notices]


def visible_messages(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the SQL conditions for the messages that the caller may see.

    A conversation in which notices are sent is hidden as a whole, with the codes that colleagues write. Once its
    publications have expired, its messages are hidden because they refer to deleted publications: only
    publications of notices are ever deleted.
    """
    if caller.is_region_wide:
        return []
    return [caller.scope(Message.organisation_id), *_not_of_notices()]


def _not_of_notices() -> Sequence[ColumnElement[bool]]:
    """Return the SQL conditions for messages outside the conversations in which notices are sent."""
    of_notices = exists(
        select(Publication.id).where(
            Publication.thread_key == Message.thread_key,
            # Inlined: with a parameter the planner assumes that every thread has notices.
            Publication.on_behalf_of == inline_literal(NOTICES_ACTOR),
        )
    )
    # Not `exists`: the planner would hash all publications for it.
    known = select(Publication.id).where(Publication.id == Message.publication_id).scalar_subquery()
    return [~of_notices, Message.publication_id.is_(None) | known.is_not(None)]


def organisation_of_publication_events(publication: Publication) -> UUID | None:
    """Return the organisation whose staff may read the events of the publication; None: the centre only."""
    return None if publication.on_behalf_of == NOTICES_ACTOR else publication.organisation_id


async def organisation_of_message_events(session: AsyncSession, message: Message) -> UUID | None:
    """Return the organisation whose staff may read the events of the stored message; None: the centre only."""
    if message.kind != "message":
        return message.organisation_id
    if is_code(message.kind, message.text):
        return None
    shown = select(Message.organisation_id).where(Message.id == message.id, *_not_of_notices())
    return await session.scalar(shown)


async def threads_of_notices(session: AsyncSession, thread_keys: Collection[str]) -> set[str]:
    """Return those of the threads in which notices are sent."""
    if not thread_keys:
        return set()
    found = select(Publication.thread_key).where(
        Publication.thread_key.in_(thread_keys), Publication.on_behalf_of == inline_literal(NOTICES_ACTOR)
    )
    return set(await session.scalars(found))


def is_code(kind: str, text: str | None) -> bool:
    """Return whether a message is nothing but the code by which a colleague links an account for notices."""
    return read_code(kind, text or "") is not None
