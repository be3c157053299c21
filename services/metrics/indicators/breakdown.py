"""Grouping of figures: the columns that put a row into a group."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

# The key of the group of rows without a value, such as appeals without a topic.
NO_GROUP = "none"


@dataclass(frozen=True)
class Breakdown:
    """How rows are grouped: key, display name and sort order of the group."""

    key: ColumnElement[Any]
    name: ColumnElement[Any]
    order: ColumnElement[Any]
