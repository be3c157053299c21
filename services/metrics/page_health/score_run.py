"""The weekly scoring: every active page is scored once after the end of each week, including missed weeks.

A page is due while it has no score of the week: an interrupted run continues where it stopped, and two concurrent
runs store one score.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week, weeks_between
from services.metrics.page_health.formulas import formula_of_week, parse_formula
from services.metrics.page_health.page_inputs import read_inputs
from services.metrics.page_health.scoring import score_page
from shared import clock
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import Database, WriteSession
from shared.ids import new_id
from shared.logs import get_logger
from shared.tables.metrics_pages import PageScore
from shared.tables.registry import Page

log = get_logger(__name__)

BATCH_SIZE = 200
# Walls are polled, so the week's last posts arrive after its end.
GRACE = timedelta(hours=4)


async def score_due_weeks(database: Database) -> int:
    """Score the active pages for the finished weeks; return how many scores were stored.

    Scoring starts with the last week that has scores; if there is none, only the last finished week is scored.
    """
    last = last_finished_week(clock.now())
    async with database.read() as session:
        newest = await newest_scored_week(session)
    count = 0
    for week in weeks_between(newest or last, last):
        while (scored := await _score_batch(database, week)) > 0:
            count += scored
    return count


def last_finished_week(now: datetime) -> Week:
    """Return the last week that may be scored: one that ended at least `GRACE` ago."""
    return Week.containing(now - GRACE).shifted(-1)


async def newest_scored_week(session: AsyncSession) -> Week | None:
    """Return the newest week with scores; None before the first run."""
    name = await session.scalar(select(func.max(PageScore.week)))
    return None if name is None else Week.parse(name)


async def _score_batch(database: Database, week: Week) -> int:
    async with database.write() as session:
        page_ids = await _due_pages(session, week)
        if page_ids:
            await _score_pages(session, page_ids, week)
    if page_ids:
        log.info("pages scored", week=week.name, pages=len(page_ids))
    return len(page_ids)


async def _due_pages(session: AsyncSession, week: Week) -> Sequence[UUID]:
    """Return the next batch of active pages that were registered before the week's end and have no score of the
    week.
    """
    has_score = exists().where(PageScore.page_id == Page.id, PageScore.week == week.name)
    return (
        await session.scalars(
            select(Page.id)
            .where(Page.active, Page.created_at < week.end, ~has_score)
            .order_by(Page.id)
            .limit(BATCH_SIZE)
        )
    ).all()


async def _score_pages(session: WriteSession, page_ids: Sequence[UUID], week: Week) -> None:
    row = await formula_of_week(session, week)
    formula = parse_formula(row)
    inputs = await read_inputs(session, page_ids, week, formula)
    now = clock.now()
    scores = []
    for page_id in page_ids:
        found = score_page(formula, inputs[page_id], week.end)
        scores.append(
            {
                "id": new_id(),
                "page_id": page_id,
                "week": week.name,
                "formula_id": row.id,
                "score": found.score,
                "light": found.light,
                "inputs": inputs[page_id].model_dump(mode="json", exclude_none=True),
                "points": [criterion.as_json() for criterion in found.criteria],
                "last_post_at": inputs[page_id].last_post_at,
                "created_at": now,
            }
        )
    await insert_rows(session, PageScore, scores, skip_conflicts=True)
