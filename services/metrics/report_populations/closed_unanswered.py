"""The appeals that were closed in a period without a reply."""

from functools import cache
from typing import Any

from sqlalchemy import Select, or_, select

from services.metrics.report_populations.appeal_columns import COUNTED, appeal_dimensions, of_appeals
from services.metrics.report_populations.past_closures import closed_in, had_reply_at
from services.metrics.report_populations.reported_time import END, START
from shared.tables.appeals import Appeal


@cache
def closed_unanswered() -> Select[Any]:
    """Return the SQL query for appeals closed in the period that were still closed, and without a reply, at its
    end.
    """
    closed = closed_in(START, END).subquery("closed")
    return (
        of_appeals(
            select(
                *appeal_dimensions(Appeal.id.expression, Appeal.organisation_id.expression),
                closed.c.closed_at.label("at"),
            )
        )
        .join(closed, closed.c.appeal_id == Appeal.id)
        .where(
            COUNTED,
            or_(Appeal.first_response_at.is_(None), Appeal.first_response_at >= END),
            ~had_reply_at(END),
        )
    )
