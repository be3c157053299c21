"""What crosses the wire of imports: what was or would be done, row by row, and what was refused, cell by cell."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

ImportedKind = Literal["organisation", "page"]


class RejectedCell(BaseModel):
    """A value of the file that cannot be taken."""

    row: int = Field(description="As spreadsheets count them", examples=[17])
    column: str = Field(description="Its heading in the file", examples=["ИНН"])
    cell: str = Field(examples=["C17"])
    value: str = Field(description="The first 200 characters of what stands there", examples=["0323011756"])
    reason: str = Field(examples=["Контрольная цифра ИНН не сходится: в номере опечатка"])


class ImportCounts(BaseModel):
    """How many things of one kind."""

    added: int = Field(examples=[2])
    changed: int = Field(examples=[1])
    unchanged: int = Field(examples=[1997])


class ChangedField(BaseModel):
    """A field that differs from what the registry had."""

    field: str = Field(description="The column as our own export heads it", examples=["phone"])
    cell: str = Field(description="The cell of the file that says so", examples=["F17"])
    before: str = Field(examples=["8 (3012) 00-00-00"])
    after: str = Field(examples=["8 (3012) 00-00-01"])


class ImportedEntry(BaseModel):
    """An organisation or a page that the file adds or changes."""

    row: int = Field(description="Where the file first names it", examples=[17])
    subject: ImportedKind
    outcome: Literal["added", "changed"]
    id: UUID | None = Field(description="Null: a dry run has not added it", examples=[None])
    name: str = Field(examples=["Школа № 71 города Улан-Удэ"])
    changed: list[ChangedField] = Field(description="Of a changed one: each field that differs")


class ImportReport(BaseModel):
    """What an import did, or would do."""

    dry_run: bool
    organisations: ImportCounts
    pages: ImportCounts
    refused_count: int = Field(description="Refused cells in all; a file with any is not imported at all")
    refused: list[RejectedCell] = Field(description="The first 1,000 of them, by row and column")
    ignored_columns: list[str] = Field(description="Headings that name nothing the registry keeps", examples=[[]])
    things: list[ImportedEntry] = Field(description="What is added or changed, in the file's order")
