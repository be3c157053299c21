"""Conditions on ids that cost the same for few and many ids, whatever the planner expects."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, any_, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute


def is_one_of(column: InstrumentedAttribute[UUID], ids: Iterable[UUID]) -> ColumnElement[bool]:
    """Return the condition that the column has one of the ids, as one parameter: 32,767 are allowed."""
    return column == any_(literal(list(ids), ARRAY(Uuid)))


def is_one_of_query(column: InstrumentedAttribute[UUID], found: Select[Any]) -> ColumnElement[bool]:
    """Return the condition that the column has one of the ids that a query returns.

    The query is read once, before, into an array. With `IN`, a plan for unknown values expects many rows, and
    reads all rows of the column's table to compare them.
    """
    return column == any_(func.array(found.correlate(None).scalar_subquery(), type_=ARRAY(Uuid)))
