"""Which appeals were closed at a past moment: those that were reopened later are not closed any more.

An appeal that is still closed says when by `closed_at`. What a reopening removed from there is in the timeline,
which has an entry of every move to «closed», and of everything that leads out of it.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal_column, or_, select
from sqlalchemy.orm import aliased

from shared.tables.appeals import Appeal, TimelineEntry

# Entries of these kinds lead out of «closed», whatever they say of the status.
_LEAVING = ("reopened", "assigned", "routed")


def _closes(entry: Any) -> ColumnElement[bool]:
    # Literals, as in the index `ix_timeline_closures`: with parameters the database would not use it.
    to: ColumnElement[Any] = entry.data.op("->>")(literal_column("'to'"))
    return and_(entry.kind == literal_column("'moved'"), to == literal_column("'closed'"))


def _left_before(closure: Any, moment: Any) -> ColumnElement[bool]:
    left = aliased(TimelineEntry)
    return (
        select(left.id)
        .where(
            left.appeal_id == closure.appeal_id,
            left.at > closure.at,
            left.at < moment,
            or_(left.kind.in_(_LEAVING), and_(left.kind == "moved", ~_closes(left))),
        )
        .exists()
    )


def was_closed_at(moment: Any) -> ColumnElement[bool]:
    """Return whether the appeal was closed at a moment by an entry of its timeline: a look-up for each appeal."""
    closure = aliased(TimelineEntry)
    return (
        select(closure.id)
        .where(
            closure.appeal_id == Appeal.id,
            closure.at < moment,
            _closes(closure),
            ~_left_before(closure, moment),
        )
        .exists()
    )


def closed_in(start: Any, end: Any) -> Select[Any]:
    """Return id and `closed_at` of the appeals closed in a period, and still closed at its end.

    Those still closed today need no timeline; a change of the status by one of the others has removed the time.
    """
    closure = aliased(TimelineEntry)
    is_still = and_(Appeal.status == "closed", Appeal.closed_at >= start, Appeal.closed_at < end)
    still = select(Appeal.id.label("appeal_id"), Appeal.closed_at.label("closed_at")).where(is_still)
    reopened = (
        select(closure.appeal_id, func.max(closure.at))
        .join(Appeal, Appeal.id == closure.appeal_id)
        .where(
            closure.at >= start,
            closure.at < end,
            _closes(closure),
            ~func.coalesce(is_still, false()),
            ~_left_before(closure, end),
        )
        .group_by(closure.appeal_id)
    )
    return select(still.union_all(reopened).subquery("closed_in"))
