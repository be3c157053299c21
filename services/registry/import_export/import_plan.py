"""The plan of an import: the changes to each organisation and page."""

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from services.registry.import_export.cell_values import DatedName
from services.registry.import_export.parsed_rows import Cell, ParsedOrganisation, ParsedPage
from shared.tables.registry import Organisation, Page

ImportOutcome = Literal["added", "changed", "unchanged"]


@dataclass
class FieldDifference:
    """A field that will change: the cell that changes it, and the text before and after."""

    field: str
    cell: Cell
    before: str
    after: str


@dataclass
class OrganisationPlan:
    """Plan of an organisation.

    `values`: the columns to set. `names`: the new aliases or former names by kind, where they change.
    """

    parsed: ParsedOrganisation
    id: UUID
    existing: Organisation | None
    values: dict[str, Any]
    names: dict[str, set[DatedName]] = field(default_factory=dict)
    differences: list[FieldDifference] = field(default_factory=list)

    @property
    def outcome(self) -> ImportOutcome:
        """Return what the import does with the organisation."""
        if self.existing is None:
            return "added"
        return "changed" if self.values or self.names else "unchanged"

    @property
    def name(self) -> str:
        """Return the name that the organisation has after the import."""
        return str(self.values.get("name") or (self.existing.name if self.existing else ""))


@dataclass
class PagePlan:
    """Plan of a page: `values` are the columns to set."""

    parsed: ParsedPage
    existing: Page | None
    values: dict[str, Any]
    differences: list[FieldDifference] = field(default_factory=list)

    @property
    def outcome(self) -> ImportOutcome:
        """Return what the import does with the page."""
        if self.existing is None:
            return "added"
        return "changed" if self.values else "unchanged"

    @property
    def name(self) -> str:
        """Return the name that the page has after the import."""
        return str(self.values.get("name") or (self.existing.name if self.existing else ""))


@dataclass
class ImportPlan:
    """Plan of the whole import."""

    organisations: list[OrganisationPlan]
    pages: list[PagePlan]
