"""API models of open data: counts of appeals in published weeks, without small counts."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

OpenDataTableCode = TypeAliasType(
    "OpenDataTableCode", Literal["topics_by_municipality", "channels", "outcomes", "organisations"]
)


class _Part(BaseModel):
    """A part of the document. Unknown fields are an error, so that no field of a stored document is lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenDataCategory(_Part):
    """A row or column with its total, which is at least the minimum."""

    key: str = Field(
        description="Id, OKTMO code or code; `none`: not known; `_other`: others together",
        examples=["81624000"],
    )
    name: str = Field(examples=["Кабанский район"])
    total: int = Field(examples=[48])


class OpenDataTable(_Part):
    """Counts of appeals opened in the week, by one or two dimensions."""

    code: OpenDataTableCode
    title: str = Field(examples=["Темы по районам и городам"])
    total: int = Field(examples=[508])
    rows: list[OpenDataCategory] = Field(description="Largest first")
    columns: list[OpenDataCategory] = Field(description="Empty: the table has one dimension")
    cells: list[list[int | None]] = Field(
        description="For each row the counts of the columns; null: fewer than the minimum, or withheld so that "
        "others cannot be computed",
        examples=[[[27, None]]],
    )


class OpenDataDocument(_Part):
    """Open data of one week; they never change."""

    format: Literal[1] = Field(default=1, description="Version of this structure")
    week: str = Field(description="ISO week in the region", examples=["2026-W47"])
    first_day: date = Field(examples=["2026-11-16"])
    last_day: date = Field(examples=["2026-11-22"])
    time_zone: str = Field(examples=["Asia/Irkutsk"])
    minimum: int = Field(
        description="No smaller count is published. Appeals are counted, not people: one person may have several",
        examples=[5],
    )
    tables: list[OpenDataTable] = Field(description="A table of fewer appeals than the minimum is left out")


class OpenDataWeekSummary(BaseModel):
    """A published week in the list."""

    week: str = Field(examples=["2026-W47"])
    first_day: date = Field(examples=["2026-11-16"])
    last_day: date = Field(examples=["2026-11-22"])
    published_at: datetime
    url: str = Field(examples=["/api/v1/open-data/weeks/2026-W47"])


class OpenDataWeeks(BaseModel):
    """All published weeks."""

    items: list[OpenDataWeekSummary] = Field(description="Newest first")
