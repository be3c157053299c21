"""Grades of answers for the weekly report."""

from datetime import timedelta

from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.grading.agreement import compute_grader_agreement
from services.metrics.grading.quality import compute_quality
from services.metrics.indicators.period import Period
from services.metrics.indicators.weeks import Week
from services.metrics.schemas.weekly_report import GradeFigures
from services.metrics.settings import metrics_settings

# The answers of the week itself are graded only after its report is published.
GRADED_WEEKS = 4


async def read_grade_figures(session: AsyncSession, week: Week) -> list[GradeFigures]:
    """Return the grades of answers published in the four weeks before, by criterion; empty if there are none."""
    period = Period(week.start - timedelta(weeks=GRADED_WEEKS), week.start)
    config = metrics_settings()
    criteria = await compute_grader_agreement(session, period, config)
    total, _ = await compute_quality(
        session, period, None, true(), agreement=criteria, minimum=config.grading_minimum
    )
    if not total.graded:
        return []
    agreement = {one.code: one for one in criteria}
    return [
        GradeFigures(
            code=criterion.code,
            title=criterion.title,
            axes=criterion.axes,
            mean=None if criterion.mean is None else round(criterion.mean, 2),
            graded=criterion.n,
            kappa=_rounded(agreement[criterion.code].weighted_kappa) if criterion.code in agreement else None,
        )
        for criterion in total.criteria
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
