"""What an import would do, thing by thing."""

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from services.registry.import_export.cell_values import Dated
from services.registry.import_export.parsed_rows import Cell, Draft, PageDraft
from shared.tables.registry import Organisation, Page

Outcome = Literal["added", "changed", "unchanged"]


@dataclass
class Difference:
    """One field that will differ: `cell` says so, `before` and `after` are as cells would show them."""

    field: str
    cell: Cell
    before: str
    after: str


@dataclass
class BodyPlan:
    """An organisation: `values` are the columns to set, `names` the other names by kind where they differ."""

    draft: Draft
    id: UUID
    existing: Organisation | None
    values: dict[str, Any]
    names: dict[str, set[Dated]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
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

    draft: PageDraft
    existing: Page | None
    values: dict[str, Any]
    differences: list[Difference] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """What becomes of it."""
        if self.existing is None:
            return "added"
        return "changed" if self.values else "unchanged"

    @property
    def name(self) -> str:
        """Its name after the import."""
        return str(self.values.get("name") or (self.existing.name if self.existing else ""))


@dataclass
class Plan:
    """The whole import."""

    bodies: list[BodyPlan]
    pages: list[PagePlan]
