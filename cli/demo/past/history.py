"""Write the made-up history into a database: appeals, page health, then the reports of the past weeks.

The API rightly refuses to record what happened weeks ago, so the demo writes rows. No service imports this
package. Events of the appeals are not written: they notify consumers of what happens now.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from cli.demo.past.appeal_draft import Surroundings
from cli.demo.past.appeal_rows import add_appeal
from cli.demo.past.network_rows import NetworkRows
from cli.demo.past.page_rows import STEPS, add_page_scores, add_pages
from cli.demo.past.region_facts import RegionFacts, read_region
from cli.demo.past.row_ids import RowIds
from cli.demo.past.row_writer import RowWriter
from cli.demo.past.volumes import occasions
from services.appeals.search.documents import index_appeals
from services.appeals.settings import settings as appeals_settings
from services.metrics.indicators.weeks import Week
from services.metrics.settings import metrics_settings
from services.metrics.weekly_report.publication import publish
from shared import clock
from shared.database.sessions import Database, WriteSession
from shared.settings import settings
from shared.tables.appeals import Appeal
from shared.tables.metrics_pages import PageScore
from shared.tables.registry import PageCheck, PageStep

SEED = 2026


@dataclass(frozen=True)
class WrittenHistory:
    """The numbers of appeals and reports written."""

    appeals: int
    reports: int


def made_up_rows(region: RegionFacts, now: datetime, weeks: int, seed: int = SEED) -> RowWriter:
    """Return the rows of appeals for the last `weeks` complete weeks and the current one, and of page checks.

    The same seed, region and moment give the same rows.
    """
    writer, ids, rng = RowWriter(), RowIds(seed), random.Random(seed)
    network = NetworkRows(writer, ids, rng)
    at = Surroundings(writer, region, ids, rng, now, network)
    for occasion in occasions(rng, region.districts, now, weeks):
        add_appeal(at, occasion)
    network.write_messages()
    add_pages(writer, region, ids, rng, complete_weeks(now, weeks))
    return writer


def complete_weeks(now: datetime, weeks: int) -> list[Week]:
    """Return the last complete weeks, oldest first."""
    return [Week.containing(now).shifted(-ago) for ago in range(weeks, 0, -1)]


async def write_history(url: str, weeks: int, now: datetime) -> WrittenHistory:
    """Write the history unless the database has appeals; then publish missing reports of complete weeks.

    `url` connects as the owner of the tables. All rows of the history are written in one transaction. After an
    interruption, the next run publishes the remaining reports.
    """
    database = Database(url, 2, name="demo-past")
    try:
        async with database.write() as session:
            count = await _write_rows(session, weeks, now)
        async with database.read() as reader:
            first = await reader.scalar(select(func.min(Appeal.opened_at)))
        reports = 0
        for week in complete_weeks(now, weeks):
            if first is None or week.end <= first:
                continue
            # When the report would have been published: on the Monday after the week.
            published_at = min(week.end + timedelta(hours=metrics_settings().report_hour), now)
            reports += await publish(database, week, published_at)
        return WrittenHistory(count, reports)
    finally:
        await database.close()


async def _write_rows(session: WriteSession, weeks: int, now: datetime) -> int:
    # A concurrent writer waits here, then finds the appeals of the first and writes none.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("demo-past"))))
    if weeks < 1 or await session.scalar(select(exists().where(Appeal.id.is_not(None)))):
        return 0
    region = await read_region(session, SEED, appeals_settings().feedback_window_hours)
    writer = made_up_rows(region, now, weeks)
    appeals = [row["id"] for row in writer.rows["appeals"]]
    has_page_history = await _has_page_history(session, now)
    if has_page_history:
        del writer.rows["page_steps"], writer.rows["page_checks"]
    await _copy(session, writer)
    await index_appeals(session, appeals)
    if not has_page_history:
        await add_page_scores(session, writer, region, RowIds(SEED + 1), complete_weeks(now, weeks))
        await _copy(session, writer)
    return len(appeals)


async def _has_page_history(session: AsyncSession, now: datetime) -> bool:
    """Return whether pages have steps, or checks or scores of past weeks, from a run that got no appeals."""
    this_week = Week.containing(now)
    return bool(
        await session.scalar(
            select(
                or_(
                    exists().where(PageStep.step.in_(STEPS)),
                    exists().where(PageCheck.day < this_week.monday),
                    exists().where(PageScore.week < this_week.name),
                )
            )
        )
    )


async def _copy(session: AsyncSession, writer: RowWriter) -> None:
    raw = await (await session.connection()).get_raw_connection()
    assert raw.driver_connection is not None
    await writer.write(raw.driver_connection)


async def write_configured_history(weeks: int) -> str:
    """Write the history into the database of `GOSPABLIK_DATABASE_URL`, with the role of the tables' owner.

    Return one line about what was written. Raises `RuntimeError` in production.
    """
    if settings().environment == "production":
        raise RuntimeError("made-up history must not be written in production")
    written = await write_history(settings().database_url.get_secret_value(), weeks, clock.now())
    if not written.appeals and not written.reports:
        return "no history: the database already has appeals"
    return f"made-up history: {written.appeals} appeals, {written.reports} weekly reports"
