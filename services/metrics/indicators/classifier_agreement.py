"""Agreement between classifier and reviewers, from rows of `reviews`; each share has its sample size.

Docs: docs/moderator/metrics.md.
"""

from typing import Any

from sqlalchemy import Row, Select, Text, and_, cast, func, literal, null, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.intervals import wilson_interval
from services.metrics.indicators.breakdown import NO_GROUP, Breakdown
from services.metrics.indicators.period import Period
from services.metrics.schemas.metrics import AgreementFigures, AgreementGroup, AgreementGroupBy, AgreementShare
from shared.auth.callers import Caller
from shared.clock import REGION_TIME_ZONE
from shared.tables.appeals_classification import Review, Topic
from shared.tables.registry import Municipality, Organisation

ASPECTS = {
    "needs_answer": Review.agrees_needs_answer,
    "topic_group": Review.agrees_topic_group,
    "topic": Review.agrees_topic,
    "location": Review.agrees_location,
    "urgency": Review.agrees_urgency,
    "organisation": Review.agrees_organisation,
}

_WEEK = func.to_char(func.timezone(REGION_TIME_ZONE.key, Review.created_at), 'IYYY-"W"IW')
_MUNICIPALITY = func.coalesce(
    Review.decided["location"]["municipality"].astext, Review.predicted["municipality"].astext
)
_NAMELESS = cast(null(), Text)
_BREAKDOWNS: dict[AgreementGroupBy, Breakdown] = {
    AgreementGroupBy.TOPIC_GROUP: Breakdown(
        cast(Review.topic_group_id, Text), Topic.name.expression, func.to_char(Topic.position, "0000000000")
    ),
    AgreementGroupBy.MUNICIPALITY: Breakdown(
        _MUNICIPALITY, Municipality.name.expression, Municipality.sort_key.expression
    ),
    AgreementGroupBy.ORGANISATION: Breakdown(
        cast(Review.organisation_id, Text), Organisation.name.expression, Organisation.sort_key.expression
    ),
    AgreementGroupBy.WEEK: Breakdown(_WEEK, _NAMELESS, _WEEK),
    AgreementGroupBy.CLASSIFIED_BY: Breakdown(
        Review.predicted_by.expression, _NAMELESS, Review.predicted_by.expression
    ),
}
_UNGROUPED = Breakdown(_NAMELESS, _NAMELESS, _NAMELESS)


def _joined(query: Select[Any], group_by: AgreementGroupBy | None) -> Select[Any]:
    query = query.select_from(Review)
    if group_by == AgreementGroupBy.TOPIC_GROUP:
        return query.outerjoin(Topic, Topic.id == Review.topic_group_id)
    if group_by == AgreementGroupBy.MUNICIPALITY:
        return query.outerjoin(Municipality, Municipality.oktmo == _MUNICIPALITY)
    if group_by == AgreementGroupBy.ORGANISATION:
        return query.outerjoin(Organisation, Organisation.id == Review.organisation_id)
    return query


def agreement_query(period: Period, group_by: AgreementGroupBy | None, caller: Caller) -> Select[Any]:
    """Return the SQL query of all shares: a row per group, and a row of totals, whose `is_total` is 1."""
    breakdown = _BREAKDOWNS[group_by] if group_by else _UNGROUPED
    answers = [column.label(aspect) for aspect, column in ASPECTS.items()]
    reviews = (
        _joined(
            select(
                breakdown.key.label("key"), breakdown.name.label("name"), breakdown.order.label("order"), *answers
            ),
            group_by,
        )
        .where(
            caller.scope(Review.organisation_id),
            and_(Review.created_at >= period.start, Review.created_at < period.end),
        )
        .subquery("reviews_of_period")
    )
    column = reviews.c
    counts = [
        func.count().filter(condition).label(f"{aspect}_{name}")
        for aspect in ASPECTS
        for name, condition in (
            ("compared", column[aspect].is_not(None)),
            ("agreed", column[aspect].is_(True)),
        )
    ]
    query = select(
        (func.grouping(column.key) if group_by else literal(1)).label("is_total"),
        *([column.key, column.name] if group_by else [_NAMELESS.label("key")]),
        func.count().label("reviewed"),
        *counts,
    ).select_from(reviews)
    if group_by:
        query = query.group_by(
            func.grouping_sets(tuple_(column.key, column.name, column.order), tuple_())
        ).order_by(column.order.nulls_last(), column.key)
    return query


async def compute_agreement(
    session: AsyncSession, period: Period, group_by: AgreementGroupBy | None, caller: Caller
) -> tuple[AgreementFigures, list[AgreementGroup]]:
    """Return the totals and groups of the reviews that the caller may see."""
    rows = (await session.execute(agreement_query(period, group_by, caller))).all()
    total = next(row for row in rows if row.is_total)
    groups = [
        AgreementGroup(key=row.key if row.key is not None else NO_GROUP, name=row.name, **_shares(row))
        for row in rows
        if not row.is_total
    ]
    return AgreementFigures(**_shares(total)), groups


def _shares(row: Row[Any]) -> dict[str, Any]:
    values = row._mapping
    return {"reviewed": values["reviewed"]} | {
        aspect: _share(values[f"{aspect}_agreed"], values[f"{aspect}_compared"]) for aspect in ASPECTS
    }


def _share(agreed: int, compared: int) -> AgreementShare:
    interval = wilson_interval(agreed, compared)
    return AgreementShare(
        compared=compared,
        agreed=agreed,
        share=agreed / compared if compared else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
    )
