"""Days that a table holds, found one after another by its index: each costs a step, however many rows it has."""

from collections.abc import Callable
from datetime import date

from sqlalchemy import ColumnElement, ScalarSelect, Subquery, literal, select


def walked(
    first: ScalarSelect[date],
    following: Callable[[ColumnElement[date]], ScalarSelect[date]],
    most: int | None,
) -> Subquery:
    """The column `day`: `first` and what comes after it until there is nothing, `most` days if that is given."""
    start = select(first.label("day"), literal(1).label("place")).cte("walk", recursive=True)
    step = select(following(start.c.day), start.c.place + 1).where(start.c.day.is_not(None))
    whole = start.union_all(step if most is None else step.where(start.c.place < most))
    return select(whole.c.day).where(whole.c.day.is_not(None)).subquery("days")
