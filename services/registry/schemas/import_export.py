"""API models of imports: the changes made or planned, and the rejected cells."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

ImportedKind = TypeAliasType("ImportedKind", Literal["organisation", "page"])
ReportedOutcome = TypeAliasType("ReportedOutcome", Literal["added", "changed"])


class RejectedCell(BaseModel):
    """A cell whose value is invalid."""

    row: int = Field(description="Row number as spreadsheets show it", examples=[17])
    column: str = Field(description="The column's heading in the file", examples=["ИНН"])
    cell: str = Field(examples=["C17"])
    value: str = Field(description="The first 200 characters of the cell", examples=["0323011756"])
    reason: str = Field(examples=["Контрольная цифра ИНН не сходится: в номере опечатка"])


class ImportCounts(BaseModel):
    """How many entries of one kind were added, changed or left as they were."""

    added: int = Field(examples=[2])
    changed: int = Field(examples=[1])
    unchanged: int = Field(examples=[1997])


class ChangedField(BaseModel):
    """A field whose value differs from the registry."""

    field: str = Field(description="The column's heading in our own export", examples=["phone"])
    cell: str = Field(description="The cell of the file", examples=["F17"])
    before: str = Field(examples=["8 (3012) 00-00-00"])
    after: str = Field(examples=["8 (3012) 00-00-01"])


class ImportedEntry(BaseModel):
    """An organisation or a page that the file adds or changes."""

    row: int = Field(description="The first row of the file about it", examples=[17])
    kind: ImportedKind
    outcome: ReportedOutcome
    id: UUID | None = Field(description="Null for an addition in a dry run", examples=[None])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    changes: list[ChangedField] = Field(description="For a change: each field that differs")


class ImportReport(BaseModel):
    """The result of an import, or of its dry run."""

    dry_run: bool
    organisations: ImportCounts
    pages: ImportCounts
    rejected_cell_count: int = Field(description="Number of rejected cells; a file with any is not imported")
    rejected_cells: list[RejectedCell] = Field(description="The first 1,000 rejected cells, by row and column")
    ignored_columns: list[str] = Field(description="Headings that match no column of the registry", examples=[[]])
    entries: list[ImportedEntry] = Field(description="Added and changed entries, in file order")
