"""Published weekly reports as notices need them: their top sheet, and whether a newer one replaces them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import REGION_TIME_ZONE
from shared.contracts.report_top_sheet import ReportTopSheet
from shared.logs import get_logger
from shared.tables.metrics import WeeklyReport

log = get_logger(__name__)

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class ReportLine:
    """What a letter says of a report. `due_at` is when the notice was due."""

    notice_id: UUID
    sheet: ReportTopSheet
    due_at: datetime


async def load_top_sheets(session: AsyncSession, weeks: Collection[str]) -> Mapping[str, ReportTopSheet]:
    """Return the top sheets of those of these weeks that are published and can be read, by week."""
    if not weeks:
        return {}
    rows = await session.execute(
        select(WeeklyReport.week, WeeklyReport.document).where(WeeklyReport.week.in_(weeks))
    )
    found = {}
    for row in rows:
        try:
            found[row.week] = ReportTopSheet.model_validate_json(row.document)
        except ValidationError as error:  # it must not stop the notices of others
            log.error("published report cannot be read", week=row.week, errors=error.error_count())  # noqa: TRY400
    return found


def is_replaced(sheet: ReportTopSheet, now: datetime) -> bool:
    """Return whether the week after the report's has ended, so that its report is published, or will be shortly.

    Missed weeks are published one after the other: only the newest is worth a letter.
    """
    return now.astimezone(REGION_TIME_ZONE).date() > sheet.last_day + _WEEK
