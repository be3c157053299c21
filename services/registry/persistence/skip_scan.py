"""Distinct days of a table by an index skip scan: one index lookup per day, however many rows a day has."""

from collections.abc import Callable
from datetime import date

from sqlalchemy import ColumnElement, ScalarSelect, Subquery, literal, select


def distinct_days(
    first: ScalarSelect[date],
    next_day: Callable[[ColumnElement[date]], ScalarSelect[date]],
    limit: int | None,
) -> Subquery:
    """Return a subquery with the column `day`: `first`, then `next_day` of each, at most `limit` rows."""
    start = select(first.label("day"), literal(1).label("place")).cte("walk", recursive=True)
    step = select(next_day(start.c.day), start.c.place + 1).where(start.c.day.is_not(None))
    recursive = start.union_all(step if limit is None else step.where(start.c.place < limit))
    return select(recursive.c.day).where(recursive.c.day.is_not(None)).subquery("days")
