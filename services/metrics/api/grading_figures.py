"""Routes of figures from graded answers: quality, agreement of graders, automatic hints."""

from fastapi import APIRouter

from services.metrics.api.metrics import (
    COMMON_ERRORS,
    MetricsReader,
    PeriodFrom,
    PeriodTo,
    statement_timeout,
)
from services.metrics.grading import agreement, hint_figures, quality
from services.metrics.indicators.period import parse_period
from services.metrics.schemas.grading_figures import (
    GraderAgreementReport,
    HintReport,
    QualityGroupBy,
    QualityReport,
)
from services.metrics.settings import metrics_settings
from shared import clock
from shared.clock import REGION_TIME_ZONE
from shared.service import ReadTransaction
from shared.tables.metrics_grading import GradingItem

router = APIRouter(tags=["grading"])


@router.get("/metrics/quality", responses=COMMON_ERRORS, summary="Quality of answers by people's scores")
async def get_quality_figures(
    session: ReadTransaction,
    caller: MetricsReader,
    from_: PeriodFrom = None,
    to: PeriodTo = None,
    group_by: QualityGroupBy | None = None,
) -> QualityReport:
    """Return the mean scores of the answers published in the period, by criterion and axis.

    A mean of fewer answers than `minimum` is null. Organisation staff get the figures of their own organisation.
    """
    period, config = parse_period(from_, to, clock.now()), metrics_settings()
    scope = caller.scope(GradingItem.organisation_id)
    async with statement_timeout(session):
        trust = await agreement.compute_grader_agreement(session, period, config)
        total, groups = await quality.compute_quality(
            session, period, group_by, scope, agreement=trust, minimum=config.grading_minimum
        )
    return QualityReport(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        group_by=group_by,
        minimum=config.grading_minimum,
        total=total,
        groups=list(groups),
    )


@router.get("/grading/agreement", responses=COMMON_ERRORS, summary="Agreement of graders by criterion")
async def get_grader_agreement(
    session: ReadTransaction, caller: MetricsReader, from_: PeriodFrom = None, to: PeriodTo = None
) -> GraderAgreementReport:
    """Return Cohen's κ for the region, over the answers published in the period and graded by two people."""
    period, config = parse_period(from_, to, clock.now()), metrics_settings()
    async with statement_timeout(session):
        criteria = await agreement.compute_grader_agreement(session, period, config)
    return GraderAgreementReport(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        minimum_pairs=config.grading_minimum_pairs,
        minimum_kappa=config.grading_minimum_kappa,
        criteria=list(criteria),
    )


@router.get("/grading/hints", responses=COMMON_ERRORS, summary="Automatic hints compared with people")
async def get_hint_figures(
    session: ReadTransaction, caller: MetricsReader, from_: PeriodFrom = None, to: PeriodTo = None
) -> HintReport:
    """Return how often the hints on replies find the faults that graders find, for the whole region."""
    period, config = parse_period(from_, to, clock.now()), metrics_settings()
    async with statement_timeout(session):
        found = await hint_figures.compute_hint_figures(session, period, config)
    return HintReport(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        minimum_pairs=config.grading_minimum_pairs,
        hints=list(found),
    )
