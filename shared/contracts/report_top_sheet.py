"""The top sheet of a published weekly report: the part of its document that other services read."""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator


class _Part(BaseModel):
    """A part of the document; fields that only the report itself shows are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TopSheetCount(_Part):
    """A count of the week, and of the previous week; null if no data were collected in the previous week."""

    value: int
    last_week: int | None
    change: int | None


class TopSheetTotal(_Part):
    """Appeals of one channel, or of all (`all`)."""

    channel: str
    appeals: TopSheetCount


class TopSheetOutcomes(_Part):
    """The state, at the end of the week, of the appeals opened in it."""

    opened: int
    answered: int
    overdue: int


class TopSheetAttention(_Part):
    """Something that needs attention, described in `text`."""

    kind: str
    count: int
    text: str


class TopSheetPromises(_Part):
    """Promises whose date was in the week."""

    due: int
    broken: int


class ReportTopSheet(_Part):
    """The content of a week's letter; `services/metrics/schemas/weekly_report.py` describes the whole document."""

    format: Literal[1]
    week: str
    first_day: date
    last_day: date
    totals: list[TopSheetTotal]
    outcomes: TopSheetOutcomes
    attention: list[TopSheetAttention]
    promises: TopSheetPromises
    gaps: list[str]

    @property
    def total(self) -> TopSheetCount:
        """Return the appeals of all channels together."""
        return next(total.appeals for total in self.totals if total.channel == "all")

    @model_validator(mode="after")
    def _validate_total(self) -> Self:
        if all(total.channel != "all" for total in self.totals):
            raise ValueError("totals: the entry of all channels is missing")
        return self
