"""Scores of pages as API models: with points, evidence and advice in words."""

from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from services.metrics.indicators.weeks import Week
from services.metrics.page_health.engagement import page_engagement, reach_share
from services.metrics.page_health.formulas import parse_formula
from services.metrics.page_health.score_wording import criterion_evidence, criterion_title, page_advice
from services.metrics.schemas.page_formulas import PageFormula
from services.metrics.schemas.page_health import (
    CriterionScore,
    PageInputs,
    PageOwner,
    PageScoreListItem,
    PageWeekScore,
)
from shared.tables.metrics_pages import PageScore


def present_list_item(row: Row[Any]) -> PageScoreListItem:
    """Return a row of `list_page_scores` as its API model."""
    score = row.PageScore
    inputs = PageInputs.model_validate(score.inputs)
    return PageScoreListItem(
        page_id=row.Page.id,
        name=row.Page.name,
        network=row.Page.network,
        url=row.Page.url,
        organisation=PageOwner(id=row.Organisation.id, name=row.Organisation.name),
        week=score.week,
        score=_number(score.score),
        light=score.light,
        change=_number(row.change),
        advice=_advice(score, parse_formula(row.PageScoreFormula), inputs),
        last_post_at=score.last_post_at,
        engagement=page_engagement(inputs),
        reach=inputs.reach,
        reach_share=reach_share(inputs.reach, inputs.members),
        formula_id=score.formula_id,
        formula_number=row.PageScoreFormula.number,
    )


def present_week(row: Row[Any]) -> PageWeekScore:
    """Return a row of `list_weeks` as its API model; `change` is null if the week before has no score."""
    score = row.PageScore
    formula = parse_formula(row.PageScoreFormula)
    inputs = PageInputs.model_validate(score.inputs)
    criteria = _criteria(score, formula, inputs)
    follows = row.week_before == Week.parse(score.week).shifted(-1).name
    return PageWeekScore(
        week=score.week,
        score=_number(score.score),
        light=score.light,
        change=_number(row.change) if follows else None,
        advice=_advice(score, formula, inputs),
        points=sum(criterion.points for criterion in criteria),
        possible=sum(criterion.possible for criterion in criteria),
        weight=sum(criterion.weight for criterion in criteria),
        criteria=criteria,
        engagement=page_engagement(inputs),
        reach=inputs.reach,
        reach_share=reach_share(inputs.reach, inputs.members),
        inputs=inputs,
        formula_id=score.formula_id,
        formula_number=row.PageScoreFormula.number,
        scored_at=score.created_at,
    )


def _criteria(score: PageScore, formula: PageFormula, inputs: PageInputs) -> list[CriterionScore]:
    return [
        CriterionScore(
            key=criterion.key,
            kind=criterion.kind,
            title=criterion_title(criterion),
            weight=criterion.weight,
            possible=earned["possible"],
            points=earned["points"],
            source=earned["source"],
            evidence=criterion_evidence(criterion, earned["possible"], inputs),
        )
        for criterion, earned in zip(formula.criteria, score.points, strict=True)
    ]


def _advice(score: PageScore, formula: PageFormula, inputs: PageInputs) -> str | None:
    earned = {found["key"]: (found["points"], found["possible"]) for found in score.points}
    return page_advice(formula, earned, inputs)


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
