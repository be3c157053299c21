"""Grouping of figures: the columns that assign a row to a group."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

# The key of the group for rows without a value, such as appeals without a topic.
NO_GROUP = "none"


@dataclass(frozen=True)
class Breakdown:
    """How rows are grouped: the key, display name and sort order of a group."""

    key: ColumnElement[Any]
    name: ColumnElement[Any]
    order: ColumnElement[Any]
