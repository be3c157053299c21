"""Events of the metrics service: reports."""

from datetime import date
from typing import Any

from pydantic import Field

from shared.auth.rights import Right
from shared.contracts.event_base import EventData

_REPORT: dict[str, Any] = {
    "week": "2026-W47",
    "first_day": "2026-11-16",
    "last_day": "2026-11-22",
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "appeals": 508,
}


class ReportReady(EventData):
    """The weekly report was published; it is read at `GET /reports/weekly/{week}`."""

    event_type = "report.ready"
    required_right = Right.REPORTS_READ
    sent_by_webhooks = True
    example = _REPORT

    week: str = Field(description="ISO week in the region")
    first_day: date = Field(description="Monday of the week")
    last_day: date = Field(description="Sunday of the week")
    digest: str = Field(description="SHA-256 of the published document, hexadecimal")
    appeals: int = Field(description="Appeals opened in the week")
