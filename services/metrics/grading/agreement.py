"""Agreement of graders by criterion: Cohen's κ over the answers that two people graded."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.fairness.intervals import CONFIDENCE_LEVEL
from services.metrics.grading.rubrics import graded_criteria
from services.metrics.indicators.period import Period
from services.metrics.schemas.grading import Criterion
from services.metrics.schemas.grading_figures import CriterionAgreement
from services.metrics.settings import MetricsSettings
from shared.tables.metrics_grading import GradingGrade, GradingItem, GradingSample

SCORES = (0, 1, 2)
# If less disagreement than this is expected by chance (1 is the most possible), κ shows how rare the other scores
# are, not how far people agree.
MIN_EXPECTED = 0.1
_Z = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2)
Pair = tuple[int, int]


@dataclass(frozen=True)
class Kappa:
    """Cohen's κ, the lower limit of its 95 % interval, and the disagreement expected by chance, 0 to 1."""

    value: float
    low: float
    expected: float


def kappa(pairs: Sequence[Pair], *, weighted: bool) -> Kappa | None:
    """Return Cohen's κ of two graders from their pairs of scores 0, 1 or 2; None if κ is undefined.

    κ = 1 − Σ wᵢⱼ·Oᵢⱼ / Σ wᵢⱼ·Eᵢⱼ, where O are the shares of pairs and E the products of the graders' marginal
    shares. The weights of disagreement are 1, or linear: |i − j| / 2. κ is undefined without pairs, or if no
    disagreement is expected because both graders gave one and the same score to all answers (Cohen 1960, 1968).
    The limit is κ − 1.96 standard errors for large samples (Fleiss, Cohen, Everitt 1969, Psychological Bulletin
    72, 323-327), with weights of disagreement instead of agreement.
    """
    if not pairs:
        return None
    n = len(pairs)
    first = [sum(pair[0] == score for pair in pairs) / n for score in SCORES]
    second = [sum(pair[1] == score for pair in pairs) / n for score in SCORES]
    distances = {(i, j): (abs(i - j) / 2 if weighted else float(i != j)) for i in SCORES for j in SCORES}
    observed = sum(distances[pair] for pair in pairs) / n
    expected = sum(distance * first[i] * second[j] for (i, j), distance in distances.items())
    if not expected:
        return None
    of_first = [sum(distances[i, j] * second[j] for j in SCORES) for i in SCORES]
    of_second = [sum(distances[i, j] * first[i] for i in SCORES) for j in SCORES]
    squares = sum((distances[i, j] * expected - (of_first[i] + of_second[j]) * observed) ** 2 for i, j in pairs)
    variance = (squares / n - (observed * expected) ** 2) / (n * expected**4)
    value = 1 - observed / expected
    return Kappa(value, max(-1.0, value - _Z * sqrt(max(0.0, variance))), expected)


async def compute_grader_agreement(
    session: AsyncSession, period: Period, config: MetricsSettings
) -> Sequence[CriterionAgreement]:
    """Return the agreement by criterion over the answers published in a period, in the order of the rubric.

    The original grades count, even if an objection was upheld later.
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
        agreement_of(
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


def agreement_of(criterion: Criterion, pairs: Sequence[Pair], config: MetricsSettings) -> CriterionAgreement:
    """Return how far two graders agree on a criterion; `pairs` are their scores of the same answers."""
    plain, weighted = kappa(pairs, weighted=False), kappa(pairs, weighted=True)
    trusted = None
    if weighted is not None and weighted.expected >= MIN_EXPECTED and len(pairs) >= config.grading_minimum_pairs:
        trusted = weighted.low >= config.grading_minimum_kappa
    return CriterionAgreement(
        code=criterion.code,
        title=criterion.title,
        n=len(pairs),
        agreed=sum(one == other for one, other in pairs),
        kappa=plain and plain.value,
        weighted_kappa=weighted and weighted.value,
        weighted_low=weighted and weighted.low,
        trusted=trusted,
    )
