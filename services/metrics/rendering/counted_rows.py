"""The rows that the figures of a report count, as tables for a workbook."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

RowKind = Literal["text", "count", "decimal", "percent", "day", "moment"]
RowValue = str | int | float | date | datetime | None


@dataclass(frozen=True)
class RowColumn:
    """A column of counted rows: its Russian heading and the type of its cells. Moments must have an offset."""

    heading: str
    kind: RowKind = "text"


@dataclass(frozen=True)
class RowTable:
    """The rows that figures count, for a separate sheet. `title` is the sheet's name, cut to 31 characters."""

    title: str
    columns: Sequence[RowColumn]
    rows: Iterable[Sequence[RowValue]]
