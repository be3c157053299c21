"""The elements of a report in every format: sections of texts, tables and charts.

Cells contain values. HTML and PDF show `cell_text`, XLSX the value itself, so all formats show the same data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from services.metrics.rendering import russian_format as russian
from services.metrics.schemas.weekly_report import MeasureUnit
from shared.text.visible_text import visible

ColumnKind = Literal[
    "text", "count", "signed", "decimal", "mark", "percent", "day", "moment", "compared", "share", "interval",
    "measure",
]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A number with its unit; `is_change` marks a change of a measure."""

    value: float | None
    unit: MeasureUnit
    is_change: bool = False


Pair = tuple[float | None, float | None]
Value = str | int | float | date | datetime | Measured | Pair | None


@dataclass(frozen=True)
class Column:
    """A column of a table. `pair` has two headings for a pair of numbers, in formats that need a column for each.

    `missing` is shown for None. `weight` is the column's share of the width of a printed page.
    """

    heading: str
    kind: ColumnKind = "text"
    pair: tuple[str, str] = ("", "")
    missing: str = russian.NO_DATA
    weight: float = 1

    @property
    def is_number(self) -> bool:
        """Return whether the cells contain numbers, which are aligned right."""
        return self.kind != "text"


@dataclass(frozen=True)
class Bar:
    """A bar: its label, its value with the text beside it, and the earlier value for comparison."""

    label: str
    value: float
    text: str
    compared_with: float | None = None


@dataclass(frozen=True)
class BarChart:
    """Horizontal bars. The table beside the chart has the same numbers."""

    title: str
    description: str
    bars: Sequence[Bar]
    legend: tuple[str, str] | None = None


@dataclass(frozen=True)
class Table:
    """A table; the first column contains the names of the rows. `empty` is shown instead of a table without rows.

    `sheet` is its sheet name in a workbook, if it differs from that of the section (at most 31 characters).
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    chart: BarChart | None = None
    has_total_row: bool = False
    empty: str = "Нет строк."
    sheet: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text; a note is shown less prominently."""

    text: str
    is_note: bool = False


@dataclass(frozen=True)
class Points:
    """A list of short texts, each with an optional lead-in."""

    items: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True)
class Figures:
    """The few figures shown first: label, value, remark."""

    items: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Subheading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Quotation:
    """The full text of an appeal, with its details."""

    title: str
    facts: Sequence[tuple[str, str]]
    text: str


Block = Paragraph | Points | Figures | Subheading | Quotation | Table


@dataclass(frozen=True)
class Section:
    """A section with its blocks; a wide section is printed in landscape.

    `sheet` is its sheet name in a workbook (at most 31 characters). `sheet_tables` are used in the workbook
    instead of its tables.
    """

    anchor: str
    title: str
    sheet: str
    blocks: Sequence[Block]
    is_wide: bool = False
    sheet_tables: Sequence[Table] | None = None

    @property
    def tables(self) -> Sequence[Table]:
        """Return the tables of the section for a workbook."""
        if self.sheet_tables is not None:
            return self.sheet_tables
        return [block for block in self.blocks if isinstance(block, Table)]


@dataclass(frozen=True)
class Presentation:
    """A report prepared for layout."""

    title: str
    subtitle: str
    status: str
    zone: ZoneInfo
    top: Section
    sections: Sequence[Section]
    notices: Sequence[str] = ()


def cell_text(column: Column, value: Value, zone: ZoneInfo) -> str:
    """Return a cell as text; moments are shown in the time zone."""
    match value:
        case None:
            return column.missing
        case str():
            return visible(value)
        case Measured():
            shown = russian.measure_change if value.is_change else russian.measure
            return shown(value.value, value.unit)
        case (first, second):
            return column.missing if first is None and second is None else _pair_text(column.kind, first, second)
        case date():
            return russian.moment(value, zone) if isinstance(value, datetime) else russian.day(value)
    return _number_text(column.kind, value)


def _number_text(kind: ColumnKind, value: float) -> str:
    match kind:
        case "signed":
            return russian.signed(value)
        case "percent":
            return russian.percent(value)
        case "mark":
            return russian.decimal(value, places=2)
        case "decimal":
            return russian.decimal(value)
        case _:
            return russian.count(int(value))


def _pair_text(kind: ColumnKind, first: float | None, second: float | None) -> str:
    if kind == "interval":
        return russian.interval(first, second)
    numbers = [None if number is None else int(number) for number in (first, second)]
    return (russian.share_of if kind == "share" else russian.compared)(*numbers)
