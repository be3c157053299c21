"""Which appeals were closed at a past moment, including those that were reopened later.

`closed_at` of an appeal that is still closed gives the time. A reopening clears `closed_at`, so the timeline is
read: it has an entry for every move to «closed» and for everything that reopens the appeal. A closing that was
undone does not count. A reply that was withdrawn later counts as an answer at moments before that.
"""

from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, and_, cast, false, func, literal_column, or_, select, true
from sqlalchemy.orm import aliased

from shared.tables.appeals import Appeal, TimelineEntry
from shared.tables.appeals_replies import Reply, ReplyChange

# Timeline entries of these kinds decide whether the appeal was closed from then on.
_STATUS_KINDS = ("moved", "reopened", "assigned", "routed")


def _closes(entry: Any) -> ColumnElement[bool]:
    # Literals, as in the index `ix_timeline_closures`: with parameters Postgres would not use the index.
    to: ColumnElement[Any] = entry.data.op("->>")(literal_column("'to'"))
    return and_(entry.kind == literal_column("'moved'"), to == literal_column("'closed'"))


def _was_taken_back(entry: Any) -> ColumnElement[bool]:
    """Return the SQL condition that a later entry undid this one: an undo covers all entries since its
    `undone_since`.
    """
    undo = aliased(TimelineEntry)
    since = cast(undo.data.op("->>")("undone_since"), DateTime(timezone=True))
    found = (
        select(true())
        .where(undo.appeal_id == entry.appeal_id, undo.at > entry.at, undo.kind == "moved", since <= entry.at)
        .limit(1)
        .correlate(entry)
        .scalar_subquery()
    )
    return func.coalesce(found, false())


def was_closed_at(moment: Any) -> ColumnElement[bool]:
    """Return the SQL condition that the appeal was closed at a moment, by its last status entry before that
    moment.

    A subquery in a column, unlike `EXISTS`, is a look-up for each appeal: Postgres cannot turn it into a join with
    all closures of all time.
    """
    entry = aliased(TimelineEntry)
    last = (
        select(_closes(entry))
        .where(
            entry.appeal_id == Appeal.id,
            entry.at < moment,
            entry.kind.in_(_STATUS_KINDS),
            ~_was_taken_back(entry),
        )
        .order_by(entry.at.desc(), entry.id.desc())
        .limit(1)
        .correlate(Appeal)
        .scalar_subquery()
    )
    return func.coalesce(last, false())


def had_reply_at(moment: Any) -> ColumnElement[bool]:
    """Return the SQL condition that the appeal had a reply at a moment: published before, and not yet
    withdrawn.
    """
    withdrawn_at = (
        select(func.max(ReplyChange.ended_at))
        .where(ReplyChange.reply_id == Reply.id, ReplyChange.kind == "withdrawal", ReplyChange.status == "applied")
        .correlate(Reply)
        .scalar_subquery()
    )
    found = (
        select(true())
        .where(
            Reply.appeal_id == Appeal.id,
            Reply.published_at < moment,
            or_(Reply.status == "published", and_(Reply.status == "withdrawn", withdrawn_at >= moment)),
        )
        .limit(1)
        .correlate(Appeal)
        .scalar_subquery()
    )
    return func.coalesce(found, false())


def closed_in(start: Any, end: Any) -> Select[Any]:
    """Return the SQL query for id and `closed_at` of the appeals closed in a period and still closed at its end.

    Appeals that are closed today have their `closed_at`; for those reopened later, the time comes from the
    timeline.
    """
    is_still = and_(Appeal.status == "closed", Appeal.closed_at >= start, Appeal.closed_at < end)
    still = select(Appeal.id.label("appeal_id"), Appeal.closed_at.label("closed_at")).where(is_still)
    closure = aliased(TimelineEntry)
    reopened = (
        select(closure.appeal_id, func.max(closure.at))
        .join(Appeal, Appeal.id == closure.appeal_id)
        .where(
            closure.at >= start,
            closure.at < end,
            _closes(closure),
            ~_was_taken_back(closure),
            ~func.coalesce(is_still, false()),
            was_closed_at(end),
        )
        .group_by(closure.appeal_id)
    )
    return select(still.union_all(reopened).subquery("closed_in"))
