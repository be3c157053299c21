"""Read published weekly reports for notices: their top sheets, and the newest week."""

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
    """The content of the notice of a report in a letter."""

    notice_id: UUID
    sheet: ReportTopSheet


async def load_top_sheets(session: AsyncSession, weeks: Collection[str]) -> Mapping[str, ReportTopSheet]:
    """Return the top sheets of these weeks by week, without weeks that are not published or cannot be read."""
    if not weeks:
        return {}
    rows = await session.execute(
        select(WeeklyReport.week, WeeklyReport.document).where(WeeklyReport.week.in_(weeks))
    )
    found = {}
    for row in rows:
        try:
            found[row.week] = ReportTopSheet.model_validate_json(row.document)
        except ValidationError as error:  # no error may stop the notices of other people
            log.error("published report cannot be read", week=row.week, errors=error.error_count())  # noqa: TRY400
    return found


async def newest_week(session: AsyncSession) -> str | None:
    """Return the newest week with a published report; None if there is none."""
    found: str | None = await session.scalar(select(func.max(WeeklyReport.week)))
    return found


def is_late(report: ReportReady, now: datetime) -> bool:
    """Return whether the week after the report's has ended too, so that a newer report is due."""
    return now.astimezone(REGION_TIME_ZONE).date() > report.last_day + _WEEK
