"""Published reports: stored once, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week, weeks_between
from services.metrics.rendering.canonical_json import digest, encode
from services.metrics.report_populations.reported_time import plan_for_a_week
from services.metrics.schemas.weekly_report import CorrectedFigure, ReportDocument, ReportSummary
from services.metrics.weekly_report.builder import build_report
from shared.api.pagination import Paging
from shared.contracts.metrics_events import ReportReady
from shared.database.sessions import Database, use_snapshot
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.metrics import WeeklyReport, WeeklyReportCorrection

ACTOR = "metrics"


@dataclass(frozen=True)
class PublishedReport:
    """A published report, and the differences found since then."""

    id: UUID
    document: ReportDocument
    published_at: datetime
    digest: str
    corrections: Sequence[CorrectedFigure]
    corrected_at: datetime | None


async def read_published(session: AsyncSession, week: Week) -> PublishedReport | None:
    """Return the published report of a week; None if it is not published."""
    stored = await session.scalar(select(WeeklyReport).where(WeeklyReport.week == week.name))
    if stored is None:
        return None
    correction = await last_correction(session, stored.id)
    return PublishedReport(
        stored.id,
        # Fields that a later version dropped are not an error.
        ReportDocument.model_validate_json(stored.document, extra="ignore"),
        stored.published_at,
        stored.digest,
        [] if correction is None else [CorrectedFigure(**change) for change in correction.changes],
        None if correction is None else correction.created_at,
    )


async def publish_due_weeks(database: Database, now: datetime, publish_hour: int) -> list[Week]:
    """Publish the reports that are due and not yet published; return their weeks.

    The first published report is that of the last week, if there were appeals by its end; later weeks follow
    without gaps.
    """
    due = due_week(now, publish_hour)
    async with database.read() as session:
        newest = await session.scalar(select(func.max(WeeklyReport.week)))
        first_appeal = await session.scalar(select(func.min(Appeal.opened_at)))
    if first_appeal is None or first_appeal >= due.end:
        return []
    first = due if newest is None else Week.parse(newest).shifted(1)
    return [week for week in weeks_between(first, due) if await publish(database, week, now)]


async def publish(database: Database, week: Week, now: datetime) -> bool:
    """Build and store the report of a week that has ended. Return False if it is already published.

    Two workers may publish at the same time: one report is stored, the other is discarded.
    """
    if now < week.end:
        raise ValueError(f"the week {week.name} has not ended")
    report = await build_in_snapshot(database, week, now)
    document = encode(report)
    row = {
        "id": new_id(),
        "week": week.name,
        "document": document.decode(),
        "digest": digest(document),
        "appeals": report.outcomes.opened,
        "published_at": now,
        "created_at": now,
    }
    stored = insert(WeeklyReport).values(row).on_conflict_do_nothing().returning(WeeklyReport.id)
    async with database.write() as session:
        report_id = await session.scalar(stored)
        if report_id is not None:
            ready = ReportReady(
                week=week.name,
                first_day=week.monday,
                last_day=week.sunday,
                digest=digest(document),
                appeals=report.outcomes.opened,
            )
            await emit(session, NewEvent(data=ready, subject_id=report_id, organisation_id=None, actor=ACTOR))
        return report_id is not None


async def build_in_snapshot(database: Database, week: Week, now: datetime) -> ReportDocument:
    """Return the report of a week, built from one snapshot."""
    async with database.read() as session:
        await use_snapshot(session)
        await plan_for_a_week(session)
        return await build_report(session, week, now)


def due_week(now: datetime, publish_hour: int) -> Week:
    """Return the last week whose report is due: a report is due from the next Monday at `publish_hour`."""
    return Week.containing(now - timedelta(hours=publish_hour)).shifted(-1)


async def last_correction(session: AsyncSession, report_id: UUID) -> WeeklyReportCorrection | None:
    """Return the latest stored differences of a published report; None if there are none."""
    query = (
        select(WeeklyReportCorrection)
        .where(WeeklyReportCorrection.report_id == report_id)
        .order_by(WeeklyReportCorrection.created_at.desc(), WeeklyReportCorrection.id.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def list_published(session: AsyncSession, paging: Paging) -> Sequence[Row[Any]]:
    """Return the published reports with their latest correction, newest first, one more than the page holds."""
    last = (
        select(WeeklyReportCorrection.changes)
        .where(WeeklyReportCorrection.report_id == WeeklyReport.id)
        .order_by(WeeklyReportCorrection.created_at.desc(), WeeklyReportCorrection.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns: list[Any] = [
        WeeklyReport.week, WeeklyReport.published_at, WeeklyReport.digest, WeeklyReport.appeals
    ]  # fmt: skip
    corrections = func.coalesce(func.jsonb_array_length(last), 0).label("corrections")
    query: Select[Any] = select(*columns, corrections)
    after = paging.after((WeeklyReport.week,), (str,))
    if after is not None:
        query = query.where(after)
    found: Sequence[Row[Any]] = (
        await session.execute(query.order_by(WeeklyReport.week.desc()).limit(paging.limit + 1))
    ).all()
    return found


def summary(row: Row[Any]) -> ReportSummary:
    """Return a published report as an item of the list."""
    week = Week.parse(row.week)
    return ReportSummary(
        week=row.week,
        first_day=week.monday,
        last_day=week.sunday,
        published_at=row.published_at,
        digest=row.digest,
        appeals=row.appeals,
        corrected=row.corrections > 0,
    )


async def read_document(session: AsyncSession, week: Week) -> str | None:
    """Return the text of a published report exactly as its digest was computed; None if the week has none."""
    return await session.scalar(select(WeeklyReport.document).where(WeeklyReport.week == week.name))
