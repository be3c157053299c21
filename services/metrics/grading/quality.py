"""Quality of answers by graders' scores: means by criterion and axis, weighted by strata.

A stratum is the answers of one organisation in one week. Small strata are sampled more densely, so each graded
answer is weighted: the answers of its stratum divided by the graded ones. Docs: docs/moderator/grading.md.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Double, and_, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.fairness.intervals import wilson_interval
from services.metrics.grading.rubrics import graded_criteria
from services.metrics.indicators.period import Period
from services.metrics.schemas.axes import Axis
from services.metrics.schemas.grading import Criterion
from services.metrics.schemas.grading_figures import (
    AxisScore,
    CriterionAgreement,
    CriterionMean,
    MeanScore,
    QualityFigures,
    QualityGroup,
    QualityGroupBy,
)
from shared.database.id_conditions import is_one_of_query
from shared.tables.metrics_grading import GradingItem, GradingSample
from shared.tables.registry import Organisation

_HIGHEST = 2.0


@dataclass(frozen=True)
class ScoredItem:
    """The scores of an answer by criterion; `weight` is the number of answers that it represents."""

    organisation_id: UUID
    organisation: str
    scores: Mapping[str, float]
    weight: float


@dataclass(frozen=True)
class _Definitions:
    """The criteria of the figures, on which of them graders agree (`trusted`), and the minimum of answers."""

    criteria: Sequence[Criterion]
    trusted: Mapping[str, bool | None]
    minimum: int


async def compute_quality(
    session: AsyncSession,
    period: Period,
    group_by: QualityGroupBy | None,
    scope: ColumnElement[bool],
    *,
    agreement: Sequence[CriterionAgreement],
    minimum: int,
) -> tuple[QualityFigures, Sequence[QualityGroup]]:
    """Return the total and the groups of the graded answers published in a period.

    `scope` restricts the answers by `GradingItem.organisation_id`: `caller.scope(…)`, or `true()` for the region.
    `agreement` of the same period, for the whole region, says which criteria are trusted. A mean of fewer answers
    than `minimum` is null.
    """
    items, rubrics = await _scored_items(session, period, scope)
    definitions = _Definitions(
        await graded_criteria(session, rubrics),
        {found.code: found.trusted for found in agreement},
        minimum,
    )
    groups: Sequence[QualityGroup] = ()
    if group_by is QualityGroupBy.ORGANISATION:
        groups = _by_organisation(items, definitions)
    elif group_by is QualityGroupBy.CRITERION:
        groups = _by_criterion(items, definitions)
    return _figures(items, definitions), groups


def mean_score(scores: Sequence[tuple[float, float]], minimum: int) -> MeanScore:
    """Return the mean of (score, weight) pairs with its interval; None values for fewer pairs than `minimum`.

    The interval is Wilson's for half the mean: a score of 0 to 2 varies at most as much as two yes-or-no answers
    together, so the interval is too wide rather than too narrow, and never of width zero. With unequal weights the
    sample size is (Σw)² / Σw² (Kish).
    """
    if len(scores) < minimum or not scores:
        return MeanScore(n=len(scores), mean=None, low=None, high=None, withheld="too_few")
    total = sum(weight for _, weight in scores)
    mean = sum(score * weight for score, weight in scores) / total
    effective = total**2 / sum(weight**2 for _, weight in scores)
    interval = wilson_interval(mean / _HIGHEST * effective, effective)
    assert interval is not None
    low, high = interval
    return MeanScore(n=len(scores), mean=mean, low=low * _HIGHEST, high=high * _HIGHEST, withheld=None)


async def _scored_items(
    session: AsyncSession, period: Period, scope: ColumnElement[bool]
) -> tuple[Sequence[ScoredItem], set[UUID]]:
    graded = and_(
        GradingItem.graded_at.is_not(None),
        GradingItem.published_at >= period.start,
        GradingItem.published_at < period.end,
    )
    # The period may contain only a part of a week, but the weight comes from the whole stratum.
    of_stratum = aliased(GradingItem)
    strata = (
        select(of_stratum.sample_id, of_stratum.organisation_id, func.count().label("graded"))
        .where(
            is_one_of_query(of_stratum.sample_id, select(GradingItem.sample_id.distinct()).where(graded, scope)),
            of_stratum.graded_at.is_not(None),
        )
        .group_by(of_stratum.sample_id, of_stratum.organisation_id)
        .subquery("strata")
    )
    rows = (
        await session.execute(
            select(
                GradingItem.organisation_id,
                (GradingItem.stratum_size / cast(strata.c.graded, Double)).label("weight"),
                GradingItem.scores,
                GradingSample.rubric_id,
                Organisation.name,
            )
            .join(GradingSample, GradingSample.id == GradingItem.sample_id)
            .join(Organisation, Organisation.id == GradingItem.organisation_id)
            .join(
                strata,
                and_(
                    strata.c.sample_id == GradingItem.sample_id,
                    strata.c.organisation_id == GradingItem.organisation_id,
                ),
            )
            .where(graded, scope)
            .order_by(Organisation.sort_key, Organisation.id, GradingItem.published_at, GradingItem.id)
        )
    ).all()
    items = [ScoredItem(row.organisation_id, row.name, row.scores or {}, row.weight) for row in rows]
    return items, {row.rubric_id for row in rows}


def _by_organisation(items: Iterable[ScoredItem], definitions: _Definitions) -> Sequence[QualityGroup]:
    found: dict[UUID, list[ScoredItem]] = defaultdict(list)
    for item in items:
        found[item.organisation_id].append(item)
    return [
        QualityGroup(key=str(key), name=group[0].organisation, **dict(_figures(group, definitions)))
        for key, group in found.items()
    ]


def _by_criterion(items: Sequence[ScoredItem], definitions: _Definitions) -> Sequence[QualityGroup]:
    groups = []
    for criterion in definitions.criteria:
        score = _criterion_score(items, criterion, definitions)
        groups.append(
            QualityGroup(key=criterion.code, name=criterion.title, graded=score.n, criteria=[score], axes=[])
        )
    return groups


def _figures(items: Sequence[ScoredItem], definitions: _Definitions) -> QualityFigures:
    axes = [axis for axis in Axis if any(axis in criterion.axes for criterion in definitions.criteria)]
    return QualityFigures(
        graded=len(items),
        criteria=[_criterion_score(items, criterion, definitions) for criterion in definitions.criteria],
        axes=[_axis_score(items, axis, definitions) for axis in axes],
    )


def _criterion_score(
    items: Iterable[ScoredItem], criterion: Criterion, definitions: _Definitions
) -> CriterionMean:
    score = _mean(items, lambda item: item.scores.get(criterion.code), definitions.minimum)
    return CriterionMean(
        code=criterion.code,
        title=criterion.title,
        axes=criterion.axes,
        trusted=definitions.trusted.get(criterion.code),
        **dict(score),
    )


def _axis_score(items: Iterable[ScoredItem], axis: Axis, definitions: _Definitions) -> AxisScore:
    codes = {criterion.code for criterion in definitions.criteria if axis in criterion.axes}

    def of_item(item: ScoredItem) -> float | None:
        scores = [score for code, score in item.scores.items() if code in codes]
        return sum(scores) / len(scores) if scores else None

    return AxisScore(axis=axis, **dict(_mean(items, of_item, definitions.minimum)))


def _mean(items: Iterable[ScoredItem], score_of: Callable[[ScoredItem], float | None], minimum: int) -> MeanScore:
    scores = [(score, item.weight) for item in items if (score := score_of(item)) is not None]
    return mean_score(scores, minimum)
