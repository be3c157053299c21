"""API models of open data: counts of published weeks that say nothing about single people."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

OpenTableCode = TypeAliasType(
    "OpenTableCode", Literal["topics_by_municipality", "channels", "outcomes", "organisations"]
)
OpenTableUnit = TypeAliasType("OpenTableUnit", Literal["appeals", "responses"])


class _Part(BaseModel):
    """A part of the document: unknown fields are an error, so that a stored document is read completely."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenCategory(_Part):
    """A row or column with its total, which is at least the minimum."""

    key: str = Field(
        description="Id, OKTMO code or code; `none`: not known; `other`: smaller ones together",
        examples=["81624000"],
    )
    name: str = Field(examples=["Кабанский район"])
    total: int = Field(examples=[48])


class OpenTable(_Part):
    """Counts by one or two divisions."""

    code: OpenTableCode
    title: str = Field(examples=["Темы по районам и городам"])
    unit: OpenTableUnit
    total: int = Field(examples=[508])
    rows: list[OpenCategory] = Field(description="Largest first")
    columns: list[OpenCategory] = Field(description="Empty: the table has one division")
    cells: list[list[int | None]] = Field(
        description="For each row the counts of the columns; null: fewer than the minimum, or withheld so that "
        "others cannot be computed",
        examples=[[[27, None]]],
    )


class OpenWeek(_Part):
    """Open data of one week. Nothing changes them later."""

    format: Literal[1] = Field(default=1, description="Version of this structure")
    week: str = Field(description="ISO week in the region", examples=["2026-W47"])
    first_day: date = Field(examples=["2026-11-16"])
    last_day: date = Field(examples=["2026-11-22"])
    time_zone: str = Field(examples=["Asia/Irkutsk"])
    minimum: int = Field(description="No smaller count is published", examples=[5])
    tables: list[OpenTable] = Field(description="A table with fewer than the minimum in all is left out")


class OpenWeekSummary(BaseModel):
    """A week in the list."""

    week: str = Field(examples=["2026-W47"])
    first_day: date = Field(examples=["2026-11-16"])
    last_day: date = Field(examples=["2026-11-22"])
    published_at: datetime
    url: str = Field(examples=["/api/v1/open-data/weeks/2026-W47"])


class OpenWeeks(BaseModel):
    """All published weeks."""

    items: list[OpenWeekSummary] = Field(description="Newest first")
