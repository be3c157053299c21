"""The appeals opened in a period, with their state."""

from functools import cache
from typing import Any

from sqlalchemy import Select, and_, case, false, func, select

from services.metrics.report_populations.appeal_columns import (
    COUNTED,
    NEVER_ASSIGNED,
    appeal_dimensions,
    of_appeals,
)
from services.metrics.report_populations.past_closures import had_reply_at, was_closed_at
from services.metrics.report_populations.reported_time import AS_OF, in_period
from shared.tables.appeals import Appeal
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Reply


@cache
def opened() -> Select[Any]:
    """Return the SQL query for appeals opened in the period that need an answer, with their state at `as_of`."""
    answered = func.coalesce(Appeal.first_response_at < AS_OF, false())
    final = func.coalesce(Appeal.final_answer_at < AS_OF, false())
    closed = func.coalesce(Appeal.closed_at < AS_OF, false())
    late = func.coalesce(Appeal.first_response_due_at < AS_OF, false())
    # The order matters: the timeline is read only for appeals that are neither answered nor still closed.
    state = case(
        (answered, "answered"),
        (closed, "closed_unanswered"),
        (and_(was_closed_at(AS_OF), ~had_reply_at(AS_OF)), "closed_unanswered"),
        (late, "overdue"),
        else_="waiting",
    )
    return of_appeals(
        select(
            *appeal_dimensions(Appeal.id.expression, Appeal.organisation_id.expression),
            Appeal.opened_at.label("at"),
            state.label("state"),
            and_(answered, final).label("final_answered"),
            func.coalesce(_solved(), false()).label("solved"),
            Appeal.first_response_at,
            Appeal.first_response_due_at,
            Appeal.final_answer_at,
            Appeal.closed_at,
        )
    ).where(in_period(Appeal.opened_at), COUNTED, ~NEVER_ASSIGNED)


def _solved() -> Any:
    """Return the SQL expression of whether the last final answer before `as_of` solved the matter; feedback «not
    solved» before `as_of` overrides it.

    A subquery in a column, unlike a join, is not executed for counts that do not use the column.
    """
    said = (
        select(FeedbackRound.id)
        .where(
            FeedbackRound.reply_id == Reply.id,
            FeedbackRound.kind == "not_solved",
            FeedbackRound.said_at < AS_OF,
        )
        .exists()
    )
    return (
        select(and_(func.coalesce(Reply.outcome == "solved", false()), ~said).label("solved"))
        .where(
            Reply.appeal_id == Appeal.id,
            Reply.kind == "final",
            Reply.status == "published",
            Reply.published_at < AS_OF,
        )
        .order_by(Reply.published_at.desc(), Reply.id.desc())
        .limit(1)
        .scalar_subquery()
    )
