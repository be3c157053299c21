"""Coverage counts: how many organisations must keep a page, how many do, and why others do not."""

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Subquery, Text, and_, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.registry.coverage.coverage_query import STAGE_RANKS, CoverageFilter, best_pages_query
from services.registry.schemas.coverage import (
    KIND_GROUP_LABELS,
    NO_GROUP,
    CoverageGroup,
    CoverageGroupBy,
    CoverageStage,
    NetworkCoverage,
)
from shared.tables.registry import Municipality, Organisation

COUNT_NAMES = ("required", "exempt", "covered", *(stage.value for stage in CoverageStage))


def count_expressions(rows: Any) -> dict[str, ColumnElement[int]]:
    """Return the SQL expressions that count rows of `best_pages_query`, by name.

    Stages count only organisations that must keep a page, and sum to `required`.
    """
    required = rows.exempt_reason.is_(None)
    expressions = {
        "required": required,
        "exempt": rows.exempt_reason.is_not(None),
        "covered": and_(required, rows.rank >= STAGE_RANKS[CoverageStage.NOT_LIVE]),
    } | {stage.value: and_(required, rows.rank == rank) for stage, rank in STAGE_RANKS.items()}
    return {name: func.count().filter(condition) for name, condition in expressions.items()}


def _grouped(rows: Subquery, group_by: CoverageGroupBy | None) -> Select[Any]:
    """Return the query for the counts by group and network: groups by name, the group without a key last."""
    key: ColumnElement[Any] = literal(NO_GROUP)
    name: ColumnElement[Any] = literal(None, Text)
    order: ColumnElement[Any] = literal("")
    source: FromClause = rows
    if group_by is CoverageGroupBy.MUNICIPALITY:
        key, name, order = rows.c.municipality, Municipality.name.expression, Municipality.sort_key.expression
        source = rows.outerjoin(Municipality, Municipality.oktmo == rows.c.municipality)
    elif group_by is CoverageGroupBy.PARENT:
        parent = aliased(Organisation)
        key, name, order = cast(rows.c.parent_id, Text), parent.name.expression, parent.sort_key.expression
        source = rows.outerjoin(parent, parent.id == rows.c.parent_id)
    elif group_by is CoverageGroupBy.SPHERE:
        key = name = order = rows.c.sphere
    elif group_by is CoverageGroupBy.KIND:
        key = order = rows.c.kind
    inner = (
        select(
            key.label("key"), name.label("name"), order.label("order"), *rows.c["network", "rank", "exempt_reason"]
        )
        .select_from(source)
        .subquery("grouped")
    )
    expressions = count_expressions(inner.c)
    return (
        select(
            inner.c.key,
            inner.c.name,
            inner.c.network,
            *(condition.label(label) for label, condition in expressions.items()),
        )
        .group_by(inner.c.key, inner.c.name, inner.c.order, inner.c.network)
        .order_by(inner.c.order.nulls_last(), inner.c.key.nulls_last())
    )


async def summarize(
    session: AsyncSession, today: date, filters: CoverageFilter, group_by: CoverageGroupBy | None
) -> tuple[list[NetworkCoverage], list[CoverageGroup]]:
    """Return the totals and the groups, each by network. Every organisation counts in exactly one group."""
    totals: dict[str, dict[str, int]] = {}
    groups: dict[str, CoverageGroup] = {}
    for row in (await session.execute(_grouped(best_pages_query(today, filters), group_by))).mappings():
        counted = {name: int(row[name]) for name in COUNT_NAMES}
        sums = totals.setdefault(row["network"], dict.fromkeys(COUNT_NAMES, 0))
        for name, count in counted.items():
            sums[name] += count
        key = NO_GROUP if row["key"] is None else str(row["key"])
        title = KIND_GROUP_LABELS[key] if group_by is CoverageGroupBy.KIND else row["name"]
        group = groups.setdefault(key, CoverageGroup(key=key, name=title, networks=[]))
        group.networks.append(NetworkCoverage.from_counts(row["network"], counted))
    for group in groups.values():
        group.networks.sort(key=NetworkCoverage.sort_index)
    total = [
        NetworkCoverage.from_counts(network, totals.get(network, dict.fromkeys(COUNT_NAMES, 0)))
        for network in NetworkCoverage.order()
    ]
    return total, list(groups.values()) if group_by else []
