"""Who took part in an answer: people must not grade their own words."""

from sqlalchemy import ColumnElement, exists, or_

from shared.tables.appeals_replies import Reply, ReplyChange, ReplyVersion


def took_part(actor: str) -> ColumnElement[bool]:
    """Return the SQL condition that a person wrote the reply or a version of it, approved it, or requested a
    change of it.

    For queries that select from `Reply`. The condition is never null.
    """
    return or_(
        Reply.author == actor,
        Reply.approval["decided_by"].astext.is_not_distinct_from(actor),
        exists().where(ReplyVersion.reply_id == Reply.id, ReplyVersion.author == actor).correlate(Reply),
        exists().where(ReplyChange.reply_id == Reply.id, ReplyChange.requested_by == actor).correlate(Reply),
    )
