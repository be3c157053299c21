"""Citizens' feedback on final answers in a period."""

from functools import cache
from typing import Any

from sqlalchemy import Select, select

from services.metrics.report_populations.appeal_columns import appeal_dimensions, of_appeals
from services.metrics.report_populations.reported_time import in_period
from shared.tables.appeals import Appeal
from shared.tables.appeals_feedback import FeedbackRound


@cache
def feedback() -> Select[Any]:
    """Return the SQL query for citizens' feedback on final answers in the period; silence is not counted."""
    return (
        of_appeals(
            select(
                *appeal_dimensions(FeedbackRound.id.expression, Appeal.organisation_id.expression),
                FeedbackRound.said_at.label("at"),
                FeedbackRound.kind.label("kind"),
                FeedbackRound.mark.label("mark"),
            )
        )
        .join(FeedbackRound, FeedbackRound.appeal_id == Appeal.id)
        .where(in_period(FeedbackRound.said_at), FeedbackRound.kind.in_(("thanks", "not_solved", "mark")))
    )
