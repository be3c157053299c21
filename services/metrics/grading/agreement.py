"""Agreement of two graders by criterion: Cohen's κ over the answers that two people graded."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.grading.rubrics import graded_criteria
from services.metrics.indicators.period import Period
from services.metrics.schemas.grading import Criterion
from services.metrics.schemas.grading_figures import CriterionAgreement
from services.metrics.settings import MetricsSettings
from shared.tables.metrics_grading import GradingGrade, GradingItem, GradingSample

SCORES = (0, 1, 2)
Pair = tuple[int, int]


def kappa(pairs: Sequence[Pair], *, weighted: bool) -> float | None:
    """Return Cohen's κ of two graders, from their scores 0, 1 or 2 of the same answers.

    κ = 1 − Σ wᵢⱼ·Oᵢⱼ / Σ wᵢⱼ·Eᵢⱼ, where O are the shares of pairs and E the products of the graders' marginal
    shares. The weights of disagreement are 1, or linear: |i − j| / 2. None where it is undefined: without pairs,
    or if no disagreement could be expected, because both graders gave one and the same score to all (Cohen 1960,
    1968).
    """
    if not pairs:
        return None
    first = [sum(pair[0] == score for pair in pairs) for score in SCORES]
    second = [sum(pair[1] == score for pair in pairs) for score in SCORES]
    distances = {(i, j): (abs(i - j) / 2 if weighted else float(i != j)) for i in SCORES for j in SCORES}
    observed = sum(distances[pair] for pair in pairs) / len(pairs)
    expected = sum(distance * first[i] * second[j] for (i, j), distance in distances.items()) / len(pairs) ** 2
    return 1 - observed / expected if expected else None


async def compute_agreement(
    session: AsyncSession, period: Period, config: MetricsSettings
) -> Sequence[CriterionAgreement]:
    """Return the agreement by criterion over the answers published in a period, in the order of the rubric.

    The grades as people gave them count, also where an objection was upheld later.
    """
    first, second = aliased(GradingGrade), aliased(GradingGrade)
    rows = (
        await session.execute(
            select(GradingSample.rubric_id, first.scores, second.scores)
            .select_from(GradingItem)
            .join(GradingSample, GradingSample.id == GradingItem.sample_id)
            .join(first, (first.item_id == GradingItem.id) & (first.number == 1))
            .join(second, (second.item_id == GradingItem.id) & (second.number == 2))
            .where(
                GradingItem.graded_at.is_not(None),
                GradingItem.published_at >= period.start,
                GradingItem.published_at < period.end,
            )
        )
    ).all()
    scores = [(one or {}, other or {}) for _, one, other in rows]
    return [
        _of_criterion(
            criterion,
            [
                (one[criterion.code], other[criterion.code])
                for one, other in scores
                if criterion.code in one.keys() & other.keys()
            ],
            config,
        )
        for criterion in await graded_criteria(session, {rubric_id for rubric_id, _, _ in rows})
    ]


def _of_criterion(criterion: Criterion, pairs: Sequence[Pair], config: MetricsSettings) -> CriterionAgreement:
    weighted = kappa(pairs, weighted=True)
    is_known = weighted is not None and len(pairs) >= config.grading_minimum_pairs
    return CriterionAgreement(
        code=criterion.code,
        title=criterion.title,
        n=len(pairs),
        agreed=sum(one == other for one, other in pairs),
        kappa=kappa(pairs, weighted=False),
        weighted_kappa=weighted,
        trusted=weighted >= config.grading_minimum_kappa if weighted is not None and is_known else None,
    )
