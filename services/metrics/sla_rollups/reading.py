"""SLA figures of a period: from rollups for whole months with current rollups, from rows for the rest.

Docs: docs/decisions/0029-roll-up-sla-figures-by-month.md.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Date,
    DateTime,
    Row,
    Select,
    Uuid,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators import sla
from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.period import Period
from services.metrics.schemas.metrics import SlaFigures, SlaGroup, SlaGroupBy
from services.metrics.sla_rollups.months import whole_months, without_months
from services.metrics.sla_rollups.packed_figures import (
    COLUMNS,
    COUNTS,
    PACKED,
    PackedFigures,
    concatenated,
    packed_rows,
)
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal
from shared.tables.metrics_rollups import SlaRollup, SlaRollupChange, SlaRollupMonth

# The kind of rollup for each grouping. Without groups any kind would do; that of networks has the fewest rows.
_KIND_OF_GROUPING: Mapping[SlaGroupBy | None, str] = {
    None: "network",
    SlaGroupBy.NETWORK: "network",
    SlaGroupBy.ORGANISATION: "organisation",
    SlaGroupBy.MUNICIPALITY: "organisation",
    SlaGroupBy.TOPIC: "topic",
    SlaGroupBy.TOPIC_GROUP: "topic",
    SlaGroupBy.DAY: "day",
    SlaGroupBy.WEEK: "day",
}


async def compute_sla(
    session: AsyncSession, period: Period, group_by: SlaGroupBy | None, caller: Caller, now: datetime
) -> tuple[SlaFigures, list[SlaGroup]]:
    """Return the total and the groups of the appeals that the caller may see.

    `session` must read one snapshot (`use_snapshot`), since current months are read before their figures. Rollups
    do not combine organisation with municipality or topic, so the figures of an organisation's staff are counted
    from rows.
    """
    if await (await session.connection()).get_isolation_level() != "REPEATABLE READ":
        raise RuntimeError("reading SLA figures from rollups needs a snapshot: call `use_snapshot` first")
    months = await _current_months(session, whole_months(period)) if caller.is_region_wide else []
    if not months:
        return await sla.compute_from_rows(session, period, group_by, caller, now)
    rows = (await session.execute(rollup_query(period, months, group_by))).all()
    # In a thread: ranking the values of a million appeals would block the event loop.
    return await asyncio.to_thread(_figures_of_rows, rows, group_by, now)


def _figures_of_rows(
    rows: Sequence[Row[Any]], group_by: SlaGroupBy | None, now: datetime
) -> tuple[SlaFigures, list[SlaGroup]]:
    parts = [(row, PackedFigures.of_row(row)) for row in rows]
    total = PackedFigures.union([figures for _, figures in parts])
    groups = [
        SlaGroup(key=row.key if row.key is not None else NO_GROUP, name=row.name, **figures.sla_fields_at(now))
        for row, figures in parts
        if group_by
    ]
    return SlaFigures(**total.sla_fields_at(now)), groups


async def _current_months(session: AsyncSession, months: Sequence[date]) -> Sequence[date]:
    """Return the months whose rollup has the current definition and no later changes, in order."""
    if not months:
        return []
    query = (
        select(SlaRollupMonth.month)
        .where(
            SlaRollupMonth.month.between(months[0], months[-1]),
            SlaRollupMonth.definition == sla.SLA_DEFINITION,
            SlaRollupMonth.month.not_in(select(SlaRollupChange.month)),
        )
        .order_by(SlaRollupMonth.month)
    )
    return (await session.scalars(query)).all()


def rollup_query(period: Period, months: Sequence[date], group_by: SlaGroupBy | None) -> Select[Any]:
    """Return the SQL query of packed figures by group: from rollups for these months, from rows for the rest."""
    kind = _KIND_OF_GROUPING[group_by]
    rest = without_months(period, months)
    opened = [and_(Appeal.opened_at >= part.start, Appeal.opened_at < part.end) for part in rest]
    rolled_up = (
        select(SlaRollup.key, *_merged(SlaRollup))
        .where(SlaRollup.kind == kind, SlaRollup.month == any_(literal(months, ARRAY(Date))))
        .group_by(SlaRollup.key)
    )
    counted = union_all(rolled_up, packed_rows(kind, or_(false(), *opened))).subquery("counted")
    key = func.nullif(counted.c.key, NO_GROUP)
    # All columns are the same key, each in its own type; only the one of the rollup's kind is selected.
    columns = sla.GroupedBy(cast(key, Uuid), cast(key, Uuid), key, cast(key, DateTime))
    group = sla.breakdown_by(group_by, columns)
    # The subquery names the keys, so that GROUP BY refers to columns and not to repeated expressions.
    named = (
        sla.join_names(
            select(
                group.key.label("key"),
                group.name.label("name"),
                group.order.label("order"),
                *(counted.c[name] for name in COLUMNS),
            ).select_from(counted),
            group_by,
            columns,
        )
        .subquery("named")
        .c
    )
    return (
        select(named.key, named.name, *_merged(named))
        .group_by(named.key, named.name, named.order)
        .order_by(named.order.nulls_last(), named.key)
    )


def _merged(parts: Any) -> list[ColumnElement[Any]]:
    """Return the columns that merge all parts of a group."""
    counts = (func.sum(getattr(parts, name)).label(name) for name in COUNTS)
    return [*counts, *(concatenated(getattr(parts, name)).label(name) for name in PACKED)]
