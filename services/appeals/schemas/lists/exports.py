"""Schemas of export jobs."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.appeals.exports.export_requests import ExportFormat, ExportStatus
from services.appeals.exports.layouts import LAYOUT_HELP, ExportLayout
from services.appeals.lists.appeal_sorting import SORT_HELP, AppealSort
from services.appeals.schemas.appeals.bulk import BulkFilter
from services.appeals.schemas.common import RequestBody


class ExportIn(RequestBody):
    """A list of appeals to be exported as a file."""

    format: ExportFormat = Field(
        description="`csv`: up to 300,000 appeals, `xlsx`: a workbook of up to 50,000", examples=["csv"]
    )
    layout: ExportLayout = Field(default="list", description=LAYOUT_HELP)
    filter: BulkFilter = Field(
        default_factory=BulkFilter,
        description="The filter of `GET /appeals`; empty: all that the caller may read",
        examples=[{"overdue": True}],
    )
    sort: AppealSort = Field(default="-opened_at", description=SORT_HELP)


class ExportOut(BaseModel):
    """An export and its progress."""

    id: UUID
    format: ExportFormat
    layout: ExportLayout
    status: ExportStatus = Field(examples=["running"])
    total: int = Field(description="How many appeals the list had at the request", examples=[48_000])
    rows_done: int = Field(description="How many of them have been read", examples=[12_400])
    failure: str | None = Field(description="Why it failed, in words", examples=[None])
    file_url: str | None = Field(
        description="Where the file is, once it is `ready`",
        examples=["/api/v1/exports/0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10/file"],
    )
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None = Field(description="When it is deleted; null: it is not finished")
