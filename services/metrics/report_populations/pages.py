"""The pages scored in a week, which the report counts and lists."""

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Float,
    Interval,
    Select,
    Uuid,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.orm import aliased

from services.metrics.page_health.page_groups import peers_table
from services.metrics.page_health.score_conditions import score_change
from shared.clock import REGION_TIME_ZONE
from shared.tables.metrics_pages import PageScore, PageScoreFormula
from shared.tables.registry import Organisation, Page

_START = bindparam("period_start", type_=DateTime(timezone=True))


@cache
def pages() -> Select[Any]:
    """Return the SQL query for pages scored in the week of the period, with their scores of the week before.

    It is executed with the times of a report and `peer_group_parameters`.
    """
    before = aliased(PageScore)
    peers = peers_table()
    columns: list[ColumnElement[Any]] = [
        Page.id.expression.label("row_id"),
        cast(null(), Uuid).label("appeal_id"),
        null().label("number"),
        Page.network.label("channel"),
        Page.organisation_id.label("organisation_id"),
        Organisation.municipality.label("oktmo"),
        cast(null(), Uuid).label("topic_group_id"),
        cast(null(), Uuid).label("topic_id"),
        PageScore.created_at.label("at"),
        peers.c.code.label("peer_group"),
        Page.name.label("page"),
        Organisation.name.label("organisation"),
        PageScore.light.label("light"),
        cast(PageScore.score, Float).label("score"),
        before.light.label("light_last_week"),
        cast(before.score, Float).label("score_last_week"),
        cast(score_change(before), Float).label("score_change"),
        PageScore.last_post_at.label("last_post_at"),
        PageScoreFormula.number.label("formula"),
    ]
    return (
        select(*columns)
        .select_from(PageScore)
        .join(PageScoreFormula, PageScoreFormula.id == PageScore.formula_id)
        .join(Page, Page.id == PageScore.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .join(peers, peers.c.organisation_id == Page.organisation_id)
        .outerjoin(before, (before.page_id == PageScore.page_id) & (before.week == _week_name(days_before=7)))
        .where(PageScore.week == _week_name())
    )


def _week_name(days_before: int = 0) -> ColumnElement[str]:
    """Return the SQL expression of `Week.name` for the period's first week, or for an earlier week."""
    local = func.timezone(REGION_TIME_ZONE.key, _START) - cast(literal(f"{days_before} days"), Interval)
    return func.to_char(local, 'IYYY-"W"IW')
