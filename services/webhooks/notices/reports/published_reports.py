"""Published weekly reports as notices need them: their top sheet, and which is the newest."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import REGION_TIME_ZONE
from shared.contracts.metrics_events import ReportReady
from shared.contracts.report_top_sheet import ReportTopSheet
from shared.logs import get_logger
from shared.tables.metrics import WeeklyReport

log = get_logger(__name__)

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class ReportLine:
    """What a letter says of a report."""

    notice_id: UUID
    sheet: ReportTopSheet


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


async def newest_week(session: AsyncSession) -> str | None:
    """Return the last week with a published report."""
    found: str | None = await session.scalar(select(func.max(WeeklyReport.week)))
    return found


def is_late(report: ReportReady, now: datetime) -> bool:
    """Return whether the week after the report's has ended too, so that a newer report is due."""
    return now.astimezone(REGION_TIME_ZONE).date() > report.last_day + _WEEK
