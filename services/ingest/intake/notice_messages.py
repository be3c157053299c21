"""Messages with notices to colleagues: stored in a page's conversation, but shown to the centre only.

A notice is about appeals of the reader's own organisation, which is seldom the one that owns the page.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, select

from shared.api.pagination import inline_literal
from shared.auth.callers import Caller
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.tables.ingest import Message, Publication


def visible_publications(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the SQL conditions for the publications that the caller may see."""
    if caller.is_region_wide:
        return []
    return [caller.scope(Publication.organisation_id), Publication.on_behalf_of != NOTICES_ACTOR]


def visible_messages(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the SQL conditions for the messages that the caller may see.

    A conversation in which notices are sent is hidden as a whole, with the codes that colleagues write. Once its
    publications have expired, its messages are hidden because they refer to deleted publications: only
    publications of notices are ever deleted.
    """
    if caller.is_region_wide:
        return []
    of_notices = exists(
        select(Publication.id).where(
            Publication.thread_key == Message.thread_key,
            # Inlined: with a parameter the planner assumes that every thread has notices.
            Publication.on_behalf_of == inline_literal(NOTICES_ACTOR),
        )
    )
    # Not `exists`: the planner would hash all publications for it.
    known = select(Publication.id).where(Publication.id == Message.publication_id).scalar_subquery()
    return [
        caller.scope(Message.organisation_id),
        ~of_notices,
        Message.publication_id.is_(None) | known.is_not(None),
    ]
