"""Parse organisations from a file cell by cell; rows of the same organisation are merged."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from services.registry.import_export import cell_values
from services.registry.import_export.cell_errors import CellError, CellErrors, InvalidCellValue, cell_name
from services.registry.import_export.columns import NAME_FIELD, PAGE_COLUMNS
from services.registry.import_export.file_reader import FileRow, FileTable
from shared.text.normalize import sort_key


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the file."""

    row: int
    column_index: int
    heading: str
    text: str

    @property
    def name(self) -> str:
        """Return the cell's name as spreadsheets show it."""
        return cell_name(self.row, self.column_index)

    def error(self, reason: str) -> CellError:
        """Return an error of this cell."""
        return CellError(self.row, self.column_index, self.heading, self.text, reason)


@dataclass
class ParsedFields:
    """Fields parsed from the cells of a row. `values`: only valid fields, None for an empty cell."""

    cells: dict[str, Cell] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """Return the value of a field; None when its column is missing or its cell is empty or invalid."""
        return self.values.get(name)

    def is_invalid(self, name: str) -> bool:
        """Return whether the field's cell exists and is invalid."""
        return name in self.cells and name not in self.values

    def has_invalid_cell(self, cell: Cell) -> bool:
        """Return whether a field that was read from this cell is invalid."""
        return any(self.is_invalid(name) for name, own_cell in self.cells.items() if own_cell is cell)

    def read(self, name: str, reader: str, cell: Cell, errors: CellErrors) -> None:
        """Parse a cell into the field `name`; add an error if it is invalid."""
        self.cells[name] = cell
        try:
            self.values[name] = cell_values.parse_cell(reader, cell.text) if cell.text else None
        except InvalidCellValue as error:
            errors.add(cell.error(str(error)))

    def merge(self, later: "ParsedFields", errors: CellErrors) -> None:
        """Merge a later row of the same organisation or page.

        Empty cells of the later row are ignored; a different value is an error.
        """
        for name, cell in later.cells.items():
            if not cell.text or later.is_invalid(name) or self.is_invalid(name):
                continue
            if self.values[name] is None:
                self.values[name], self.cells[name] = later.values[name], cell
            elif self.values[name] != later.values[name]:
                where = f"row {self.cells[name].row} says «{self.cells[name].text[:100]}»"
                errors.add(cell.error(f"differs within one organisation: {where}"))


@dataclass
class ParsedPage(ParsedFields):
    """A page as one row describes it."""

    network: str = ""

    @property
    def main_cell(self) -> Cell:
        """Return the cell that identifies the page, else its first non-empty cell."""
        identifying_cells = [
            self.cells[part] for part in ("external_id", "url", "screen_name") if part in self.cells
        ]
        return next(
            (cell for cell in (*identifying_cells, *self.cells.values()) if cell.text), identifying_cells[0]
        )


@dataclass
class ParsedOrganisation(ParsedFields):
    """An organisation as the file describes it, with its pages."""

    pages: list[ParsedPage] = field(default_factory=list)

    @property
    def main_cell(self) -> Cell:
        """Return the cell of the name, for errors that belong to no other cell."""
        return self.cells[NAME_FIELD]

    def cell_of(self, name: str) -> Cell:
        """Return the cell of a field, or the cell of the name if the file has no such column."""
        return self.cells.get(name, self.main_cell)


def parse_organisations(sheet: FileTable, errors: CellErrors) -> list[ParsedOrganisation]:
    """Return the organisations of a file in file order.

    A row with the id or code of an earlier row continues it. A row with neither continues a row with the same ОГРН
    or, if it has no ОГРН, one with the same name, municipality and parent.
    """
    organisations: list[ParsedOrganisation] = []
    by_key: dict[Hashable, ParsedOrganisation] = {}
    for row in sheet.rows:
        parsed = _parse_row(sheet, row, errors)
        keys = list(_keys(parsed))
        earlier = next((by_key[key] for key in keys if key in by_key), None)
        if earlier is None:
            organisations.append(parsed)
        else:
            earlier.merge(parsed, errors)
            earlier.pages += parsed.pages
        for key in keys:
            by_key.setdefault(key, earlier or parsed)
    return organisations


def _keys(parsed: ParsedOrganisation) -> Iterator[Hashable]:
    """Return the keys that identify the organisation within the file, most specific first."""
    identifiers = [(name, value) for name in ("id", "code") if (value := parsed.get(name)) is not None]
    if identifiers:
        yield from identifiers
    elif (number := parsed.get("ogrn")) is not None:
        yield "ogrn", number
    elif (name := parsed.get(NAME_FIELD)) is not None:
        yield NAME_FIELD, sort_key(name), parsed.get("municipality"), parsed.get("parent")


def _parse_row(sheet: FileTable, row: FileRow, errors: CellErrors) -> ParsedOrganisation:
    parsed = ParsedOrganisation()
    pages: dict[str, ParsedPage] = {}
    for name, index in sheet.columns.items():
        text = row.cells[index] if index < len(row.cells) else ""
        cell = Cell(row.number, index, sheet.heading.cells[index], text)
        page_column = PAGE_COLUMNS.get(name)
        if page_column is None:
            parsed.read(name, name, cell, errors)
            continue
        page = pages.setdefault(page_column.network, ParsedPage(network=page_column.network))
        page.read(page_column.page_field, page_column.page_field, cell, errors)
    parsed.pages = [page for page in pages.values() if any(cell.text for cell in page.cells.values())]
    return parsed
