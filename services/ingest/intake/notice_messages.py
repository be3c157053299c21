"""Messages with notices to colleagues: they stand in a page's conversation, but only the centre may read them.

A notice is about appeals of the reader's own organisation, which is seldom the one that owns the page.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, select

from shared.api.pagination import inline_literal
from shared.auth.callers import Caller
from shared.contracts.notice_codes import NOTICES_ACTOR
from shared.tables.ingest import Message, Publication


def visible_publications(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of the publications that the caller may see."""
    if caller.is_region_wide:
        return []
    return [caller.scope(Publication.organisation_id), Publication.on_behalf_of != NOTICES_ACTOR]


def visible_messages(caller: Caller) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of the messages that the caller may see.

    A conversation in which notices are sent is left out as a whole, with the codes that colleagues write. What is
    left when the publications have expired names a publication that is gone: only those of notices are deleted.
    """
    if caller.is_region_wide:
        return []
    of_notices = exists(
        select(Publication.id).where(
            Publication.thread_key == Message.thread_key,
            # A literal: for a parameter the planner takes every thread for one of notices.
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
