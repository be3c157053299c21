"""A report for display: published or preliminary, with the texts of hard appeals."""

from datetime import datetime

from services.metrics.indicators.weeks import Week
from services.metrics.schemas.weekly_report import ReportOut
from services.metrics.weekly_report.hard_appeals import with_texts
from services.metrics.weekly_report.publication import build_in_snapshot, read_published
from shared.database.sessions import Database


async def read_report(database: Database, week: Week, now: datetime) -> ReportOut:
    """Return the published report of a week; if there is none, a preliminary one from the data at `now`."""
    async with database.read() as session:
        published = await read_published(session, week)
    document = published.document if published else await build_in_snapshot(database, week, now)
    async with database.read() as session:
        appeals = await with_texts(session, document.hard_appeals)
    shown = document.model_copy(update={"hard_appeals": appeals})
    if published is None:
        return ReportOut(
            status="preliminary", published_at=None, digest=None, corrections=[], corrected_at=None, report=shown
        )
    return ReportOut(
        status="published",
        published_at=published.published_at,
        digest=published.digest,
        corrections=list(published.corrections),
        corrected_at=published.corrected_at,
        report=shown,
    )
