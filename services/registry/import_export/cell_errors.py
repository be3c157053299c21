"""Errors in an imported file, by cell."""

from dataclasses import dataclass, field

MAX_SHOWN_VALUE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class CellError:
    """A rejected cell: its position in the file, its text and the reason."""

    row: int
    column_index: int
    heading: str
    value: str
    reason: str

    @property
    def cell(self) -> str:
        """Return the cell's name as spreadsheets show it."""
        return cell_name(self.row, self.column_index)


def cell_name(row: int, index: int) -> str:
    """Return the cell's name, such as «C17» for row 17 and the third column (`index` counts from 0)."""
    letters = ""
    left = index + 1
    while left:
        left, letter = divmod(left - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row}"


class InvalidCellValue(ValueError):  # noqa: N818 — reads better where it is raised
    """The text of a cell is not a valid value of its column; the message says why."""


@dataclass
class CellErrors:
    """All errors of one file; a cell may have several, each for a different reason."""

    by_cell: dict[tuple[int, int, str], CellError] = field(default_factory=dict)
    _cells: set[tuple[int, int]] = field(default_factory=set)

    def add(self, error: CellError) -> None:
        """Add an error, unless the cell already has one with the same reason."""
        self.by_cell.setdefault((error.row, error.column_index, error.reason), error)
        self._cells.add((error.row, error.column_index))

    def has_error(self, row: int, index: int) -> bool:
        """Return whether this cell already has an error."""
        return (row, index) in self._cells

    def in_order(self) -> list[CellError]:
        """Return the errors by row, then by column."""
        return sorted(self.by_cell.values(), key=lambda error: (error.row, error.column_index))
