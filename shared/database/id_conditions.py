"""Conditions on ids whose plan does not depend on how many ids the planner expects."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, any_, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute


def is_one_of(column: InstrumentedAttribute[UUID], ids: Iterable[UUID]) -> ColumnElement[bool]:
    """Return the SQL condition that the column has one of the ids, given as one array of any length."""
    return column == any_(literal(list(ids), ARRAY(Uuid)))


def is_one_of_query(column: InstrumentedAttribute[UUID], found: Select[Any]) -> ColumnElement[bool]:
    """Return the SQL condition that the column has one of the ids that a query returns.

    The query runs once, first, into an array. With `IN`, a plan for unknown values expects many rows, and reads
    the whole table of the column.
    """
    return column == any_(func.array(found.correlate(None).scalar_subquery(), type_=ARRAY(Uuid)))
