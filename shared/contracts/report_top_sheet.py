"""The top sheet of a published weekly report: the part of its document that other services read."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    """A part of the document, without what only the report itself shows."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TopSheetCount(_Part):
    """A count of the week beside the week before; null where no data were collected then."""

    value: int
    last_week: int | None
    change: int | None


class TopSheetTotal(_Part):
    """Appeals of one channel, or of all."""

    appeals: TopSheetCount


class TopSheetOutcomes(_Part):
    """What became of the appeals opened in the week, by its end."""

    opened: int
    answered: int


class TopSheetAttention(_Part):
    """Something that needs attention, in words."""

    kind: str
    count: int
    text: str


class TopSheetPromises(_Part):
    """Promises whose date was in the week."""

    due: int
    broken: int


class ReportTopSheet(_Part):
    """What a letter says of a week; `services/metrics/schemas/weekly_report.py` describes the whole document."""

    week: str
    first_day: date
    last_day: date
    # All channels together first.
    totals: list[TopSheetTotal] = Field(min_length=1)
    outcomes: TopSheetOutcomes
    attention: list[TopSheetAttention]
    promises: TopSheetPromises
