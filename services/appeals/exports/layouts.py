"""The layouts of exported files: which columns they have, and what has to be read for them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.appeals.exports.columns import COLUMNS, ERASED, Cell, Column
from services.appeals.exports.incident_layout import INCIDENT_COLUMNS, INCIDENT_ERASED, add_details

ExportLayout = TypeAliasType("ExportLayout", Literal["list", "incident_management"])
LAYOUT_HELP = (
    "`list`: the columns of the list; `incident_management`: those of an export of «Инцидент Менеджмент», under "
    "its headings"
)


@dataclass(frozen=True)
class Layout:
    """A layout. `erased` has the cells, by heading, that replace those of an erased appeal. `complete` adds to
    rows of the list the other values that the columns need.
    """

    columns: Sequence[Column]
    erased: Mapping[str, Cell]
    complete: Callable[[AsyncSession, Sequence[SimpleNamespace]], Awaitable[None]]

    @cached_property
    def headings(self) -> list[str]:
        """Return the headings of the columns."""
        return [column.heading for column in self.columns]

    def cells(self, row: SimpleNamespace) -> list[Cell]:
        """Return the cells of a completed row, with personal data masked in texts."""
        return [column.cell(row) for column in self.columns]

    def erased_cells(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells of an appeal that has been erased since they were made."""
        return [self.erased.get(heading, cell) for heading, cell in zip(self.headings, cells, strict=True)]


async def _nothing_more(_session: AsyncSession, _rows: Sequence[SimpleNamespace]) -> None:
    """Add nothing: rows of the list have all values that its columns show."""


LAYOUTS: Mapping[ExportLayout, Layout] = {
    "list": Layout(COLUMNS, ERASED, _nothing_more),
    "incident_management": Layout(INCIDENT_COLUMNS, INCIDENT_ERASED, add_details),
}
LIST = LAYOUTS["list"]
