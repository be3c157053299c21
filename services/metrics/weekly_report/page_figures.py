"""The health of pages in a report."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week
from services.metrics.page_health.engagement import read_audiences
from services.metrics.page_health.health_summary import summarize_page_health
from services.metrics.schemas.weekly_report import PageFigures, ReportAudience, ReportSilentPage
from shared.clock import REGION_TIME_ZONE
from shared.tables.metrics_pages import PageScore


async def read_page_figures(session: AsyncSession, week: Week) -> PageFigures | None:
    """Return the figures of the pages that were scored in the week; None if none was."""
    mean, formulas = await _mean_score(session, week)
    if mean is None:
        return None
    before, former = await _mean_score(session, week.shifted(-1))
    summary = await summarize_page_health(session, week, changes=0)
    counts = {
        light: sum(getattr(network, light) for network in summary.lights) for light in ("green", "yellow", "red")
    }
    return PageFigures(
        scored=sum(counts.values()),
        green=counts["green"],
        yellow=counts["yellow"],
        red=counts["red"],
        mean_score=float(round(mean, 1)),
        change=None if before is None or formulas != former else float(round(mean - before, 1)),
        silent=[
            ReportSilentPage(
                page_id=page.page_id,
                name=page.name,
                network=page.network,
                last_post_on=None
                if page.last_post_at is None
                else page.last_post_at.astimezone(REGION_TIME_ZONE).date(),
            )
            for page in summary.silent
        ],
        audience=await _audience(session, week),
    )


async def _audience(session: AsyncSession, week: Week) -> list[ReportAudience]:
    before = {one.network: one for one in await read_audiences(session, week.shifted(-1))}
    audience = []
    for one in await read_audiences(session, week):
        former = before.get(one.network)
        same_base = former is not None and former.engagement_of == one.engagement_of
        audience.append(
            ReportAudience(
                **one.model_dump(),
                engagement_last_week=former.engagement if former is not None and same_base else None,
                reach_share_last_week=None if former is None else former.reach_share,
            )
        )
    return audience


async def _mean_score(session: AsyncSession, week: Week) -> tuple[Decimal | None, Sequence[UUID]]:
    """Return the mean of the scores of a week, 0 to 100, and their formulas: others cannot be compared."""
    formulas = func.array_agg(PageScore.formula_id.distinct())
    query = select(func.avg(PageScore.score), formulas).where(PageScore.week == week.name)
    mean, found = (await session.execute(query)).one()
    return mean, found or []
