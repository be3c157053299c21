"""Conditions on ids, and on other keys, whose plan does not depend on how many of them the planner expects."""

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, any_, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

Key = TypeVar("Key")


def is_one_of(column: InstrumentedAttribute[Key], keys: Iterable[Key]) -> ColumnElement[bool]:
    """Return the SQL condition that the column has one of the keys, given as one array of any length.

    The statement is the same for any number of keys, so that it is compiled and prepared once.
    """
    return column == any_(literal(list(keys), ARRAY(column.type, dimensions=1)))


def is_one_of_query(column: InstrumentedAttribute[UUID], found: Select[Any]) -> ColumnElement[bool]:
    """Return the SQL condition that the column has one of the ids that a query returns.

    The query runs once, first, into an array. With `IN`, a plan for unknown values expects many rows, and reads
    the whole table of the column.
    """
    return column == any_(func.array(found.correlate(None).scalar_subquery(), type_=ARRAY(Uuid)))
