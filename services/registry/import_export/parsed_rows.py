"""Organisations as a file describes them: its rows read cell by cell, rows of the same organisation joined."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from services.registry.import_export import cell_values
from services.registry.import_export.cell_errors import BadCell, Fault, Faults, cell_name
from services.registry.import_export.columns import NAME, PAGES
from services.registry.import_export.file_reader import Line, Sheet
from services.registry.persistence.sort_keys import sort_key


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the file."""

    row: int
    index: int
    heading: str
    text: str

    @property
    def name(self) -> str:
        """The cell as spreadsheets call it."""
        return cell_name(self.row, self.index)

    def fault(self, reason: str) -> Fault:
        """That this cell cannot be taken."""
        return Fault(self.row, self.index, self.heading, self.text, reason)


@dataclass
class Described:
    """What some cells of a row say: `values` of the fields that could be read, null for an empty cell."""

    cells: dict[str, Cell] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def given(self, name: str) -> Any:
        """The value of a field; null when its column is missing, its cell empty or unreadable."""
        return self.values.get(name)

    def broken(self, name: str) -> bool:
        """Whether the field's cell is there and could not be read."""
        return name in self.cells and name not in self.values

    def unread(self, cell: Cell) -> bool:
        """Whether this cell is one that could not be read."""
        return any(self.broken(name) for name, one in self.cells.items() if one is cell)

    def read(self, name: str, reader: str, cell: Cell, faults: Faults) -> None:
        """Read a cell into a field, or note why it cannot be."""
        self.cells[name] = cell
        try:
            self.values[name] = cell_values.read(reader, cell.text) if cell.text else None
        except BadCell as error:
            faults.add(cell.fault(str(error)))

    def join(self, later: "Described", faults: Faults) -> None:
        """Add what a later row says of the same thing: an empty cell says nothing, another value is a fault."""
        for name, cell in later.cells.items():
            if not cell.text or later.broken(name) or self.broken(name):
                continue
            if self.values[name] is None:
                self.values[name], self.cells[name] = later.values[name], cell
            elif self.values[name] != later.values[name]:
                where = f"row {self.cells[name].row} says «{self.cells[name].text[:100]}»"
                faults.add(cell.fault(f"differs within one organisation: {where}"))


@dataclass
class PageDraft(Described):
    """A page as one row describes it."""

    network: str = ""

    @property
    def place(self) -> Cell:
        """The cell that names the page, or the first that says anything of it."""
        found = [self.cells[part] for part in ("external_id", "url", "screen_name") if part in self.cells]
        return next((cell for cell in (*found, *self.cells.values()) if cell.text), found[0])


@dataclass
class Draft(Described):
    """An organisation as the file describes it, with its pages."""

    pages: list[PageDraft] = field(default_factory=list)

    @property
    def place(self) -> Cell:
        """The cell of its name: what no other cell explains is told there."""
        return self.cells[NAME]

    def place_of(self, name: str) -> Cell:
        """The cell of a field; where the file has no such column, the name's."""
        return self.cells.get(name, self.place)


def read_drafts(sheet: Sheet, faults: Faults) -> list[Draft]:
    """The organisations of a file in its order.

    A row with the id or the code of one before continues it; without either, one with its ОГРН, or else its name.
    """
    drafts: list[Draft] = []
    known: dict[Hashable, Draft] = {}
    for line in sheet.lines:
        draft = _draft(sheet, line, faults)
        keys = list(_keys(draft))
        earlier = next((known[key] for key in keys if key in known), None)
        if earlier is None:
            drafts.append(draft)
        else:
            earlier.join(draft, faults)
            earlier.pages += draft.pages
        for key in keys:
            known.setdefault(key, earlier or draft)
    return drafts


def _keys(draft: Draft) -> Iterator[Hashable]:
    """What tells the organisation from others of the file, the surest first."""
    sure = [(name, value) for name in ("id", "code") if (value := draft.given(name)) is not None]
    if sure:
        yield from sure
    elif (number := draft.given("ogrn")) is not None:
        yield "ogrn", number
    elif (name := draft.given(NAME)) is not None:
        yield NAME, sort_key(name), draft.given("municipality"), draft.given("owner")


def _draft(sheet: Sheet, line: Line, faults: Faults) -> Draft:
    draft = Draft()
    pages: dict[str, PageDraft] = {}
    for name, index in sheet.columns.items():
        text = line.cells[index] if index < len(line.cells) else ""
        cell = Cell(line.number, index, sheet.heading.cells[index], text)
        about = PAGES.get(name)
        if about is None:
            draft.read(name, name, cell, faults)
            continue
        page = pages.setdefault(about.network, PageDraft(network=about.network))
        page.read(about.part, about.part, cell, faults)
    draft.pages = [page for page in pages.values() if any(cell.text for cell in page.cells.values())]
    return draft
