"""Open data of published weeks: stored once, never changed.

Suppression runs once per week. If it ran at each request, a changed minimum or algorithm would hide other cells of
the same week, and both versions together could reveal the hidden counts.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Row, exists, select
from sqlalchemy.dialects.postgresql import insert

from services.metrics.indicators.weeks import Week
from services.metrics.open_data.document import build_document
from services.metrics.weekly_report.publication import read_published
from shared.database.sessions import Database, ReadSession
from shared.http.problems import Unavailable
from shared.ids import new_id
from shared.logs import get_logger
from shared.tables.metrics import OpenDataWeek, WeeklyReport

log = get_logger(__name__)

# Requests are anonymous, so open data use at most half of a process's connections.
READS_AT_ONCE = 2
WAIT_SECONDS = 2.0
MAX_KEPT_WEEKS = 104


async def publish_missing_weeks(database: Database, now: datetime, minimum: int) -> None:
    """Publish the open data of each report that has none yet, oldest first.

    A failure does not stop the other weeks; all failures are raised as a group at the end.
    """
    missing = (
        select(WeeklyReport.week)
        .where(~exists().where(OpenDataWeek.week == WeeklyReport.week))
        .order_by(WeeklyReport.week)
    )
    async with database.read() as session:
        weeks = [Week.parse(name) for name in await session.scalars(missing)]
    failures: list[Exception] = []
    for week in weeks:
        try:
            if await _publish(database, week, now, minimum):
                log.info("open data published", week=week.name)
        except Exception as error:
            log.exception("open data not published", week=week.name)
            failures.append(error)
    if failures:
        raise ExceptionGroup("open data of some weeks were not published", failures)


async def _publish(database: Database, week: Week, now: datetime, minimum: int) -> bool:
    """Store the open data of a published week. Return False if there is no report or another worker stored it
    first.
    """
    async with database.read() as session:
        report = await read_published(session, week)
    if report is None:
        return False
    document = await asyncio.to_thread(build_document, report.document, minimum)
    row = {
        "id": new_id(),
        "week": week.name,
        "minimum": minimum,
        "document": document.model_dump_json(),
        "published_at": now,
        "created_at": now,
    }
    stored = insert(OpenDataWeek).values(row).on_conflict_do_nothing().returning(OpenDataWeek.id)
    async with database.write() as session:
        return await session.scalar(stored) is not None


class PublishedWeeks:
    """Reads published weeks with limited concurrency, and caches them, since a week never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._at_once = asyncio.Semaphore(READS_AT_ONCE)
        self._documents: dict[str, str] = {}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ReadSession]:
        """Run a read-only transaction. Raises `Unavailable` if too many are running."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._at_once.acquire()
        except TimeoutError as error:
            raise Unavailable(
                "Too many requests for open data at once; try again in a moment", headers={"Retry-After": "5"}
            ) from error
        try:
            async with self._database.read() as session:
                yield session
        finally:
            self._at_once.release()

    async def list_weeks(self) -> Sequence[Row[str, datetime]]:
        """Return `week` and `published_at` of the weeks with open data, newest first."""
        query = select(OpenDataWeek.week, OpenDataWeek.published_at).order_by(OpenDataWeek.week.desc())
        async with self.session() as session:
            return (await session.execute(query)).all()

    async def read_document(self, week: Week) -> str | None:
        """Return the stored open data of a week as JSON; None if there are none."""
        document = self._documents.get(week.name)
        if document is None:
            async with self.session() as session:
                document = await session.scalar(
                    select(OpenDataWeek.document).where(OpenDataWeek.week == week.name)
                )
            if document is not None:
                if len(self._documents) >= MAX_KEPT_WEEKS:
                    self._documents.pop(next(iter(self._documents)))
                self._documents[week.name] = document
        return document


@lru_cache(maxsize=1)
def published_weeks(database: Database) -> PublishedWeeks:
    """Return the reader of a database; every call returns the same one."""
    return PublishedWeeks(database)
