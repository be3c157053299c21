"""SQL conditions and expressions over rows of `page_scores` that several queries share."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal_column

from services.metrics.indicators.weeks import Week
from shared.tables.metrics_pages import PageScore

# A page without a post for this many days is silent.
SILENT_DAYS = 7
# The same expression as in the index of the list; pages without a score come last.
SORTED_SCORE: ColumnElement[Decimal] = func.coalesce(PageScore.score, literal_column("1000"))


def fell_silent(week: Week, days: int = SILENT_DAYS) -> ColumnElement[bool]:
    """Return the SQL condition that a page was silent at the end of the week, but not a week earlier.

    Null for pages whose last post is unknown.
    """
    limit = week.end - timedelta(days=days)
    return and_(PageScore.last_post_at < limit, PageScore.last_post_at >= limit - timedelta(days=7))


def score_change(before: Any) -> ColumnElement[Decimal | None]:
    """Return the SQL expression of the difference to the score of an earlier row.

    Null if one of the scores is missing or the rows have different formulas.
    """
    return case((before.formula_id == PageScore.formula_id, PageScore.score - before.score))
