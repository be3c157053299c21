"""What an import would do, thing by thing."""

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from services.registry.import_export.cell_values import DatedName
from services.registry.import_export.parsed_rows import Cell, ParsedOrganisation, ParsedPage
from shared.tables.registry import Organisation, Page

ImportOutcome = Literal["added", "changed", "unchanged"]


@dataclass
class FieldDifference:
    """One field that will differ: `cell` says so, `before` and `after` are as cells would show them."""

    field: str
    cell: Cell
    before: str
    after: str


@dataclass
class OrganisationPlan:
    """An organisation: `values` are the columns to set, `names` the other names by kind where they differ."""

    parsed: ParsedOrganisation
    id: UUID
    existing: Organisation | None
    values: dict[str, Any]
    names: dict[str, set[DatedName]] = field(default_factory=dict)
    differences: list[FieldDifference] = field(default_factory=list)

    @property
    def outcome(self) -> ImportOutcome:
        """What becomes of it."""
        if self.existing is None:
            return "added"
        return "changed" if self.values or self.names else "unchanged"

    @property
    def name(self) -> str:
        """Its name after the import."""
        return str(self.values.get("name") or (self.existing.name if self.existing else ""))


@dataclass
class PagePlan:
    """A page of an organisation: `values` are the columns to set."""

    parsed: ParsedPage
    existing: Page | None
    values: dict[str, Any]
    differences: list[FieldDifference] = field(default_factory=list)

    @property
    def outcome(self) -> ImportOutcome:
        """What becomes of it."""
        if self.existing is None:
            return "added"
        return "changed" if self.values else "unchanged"

    @property
    def name(self) -> str:
        """Its name after the import."""
        return str(self.values.get("name") or (self.existing.name if self.existing else ""))


@dataclass
class ImportPlan:
    """The whole import."""

    organisations: list[OrganisationPlan]
    pages: list[PagePlan]
