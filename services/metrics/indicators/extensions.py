"""Extensions of deadlines by organisation, computed from rows of `extension_requests` and `sla_clocks`.

Docs: docs/moderator/metrics.md.
"""

from typing import Any

from sqlalchemy import Row, Select, Text, and_, cast, func, literal, null, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.period import Period
from services.metrics.schemas.metrics import ExtensionFigures, ExtensionGroup
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal, SlaClock
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.registry import Organisation

_DECISIONS = ("approved", "refused", "ended", "open")


def extensions_query(period: Period, caller: Caller) -> Select[Any]:
    """Return the query of all figures: a row per organisation, and the row of totals, whose `is_total` is 1."""
    opened = and_(Appeal.opened_at >= period.start, Appeal.opened_at < period.end)
    requests = (
        select(
            ExtensionRequest.organisation_id.label("organisation_id"),
            ExtensionRequest.status.label("status"),
            cast(null(), SlaClock.on_time.type).label("on_time"),
            literal(value=False).label("extended"),
        )
        .join(Appeal, Appeal.id == ExtensionRequest.appeal_id)
        .where(opened)
    )
    stopped = (
        select(
            SlaClock.organisation_id,
            cast(null(), Text),
            func.coalesce(SlaClock.on_time, False),
            func.coalesce(SlaClock.stopped_at > SlaClock.unextended_due_at, False),
        )
        .join(Appeal, Appeal.id == SlaClock.appeal_id)
        .where(opened, SlaClock.state == "stopped")
    )
    counted = union_all(requests, stopped).subquery("counted").c
    organisation = Organisation.id, Organisation.name, Organisation.sort_key
    return (
        select(
            func.grouping(Organisation.id).label("is_total"),
            cast(Organisation.id, Text).label("key"),
            Organisation.name,
            func.count(counted.status).label("requested"),
            *(func.count().filter(counted.status == status).label(status) for status in _DECISIONS),
            func.count(counted.on_time).label("stopped"),
            func.count().filter(counted.on_time).label("on_time"),
            func.count().filter(counted.on_time, counted.extended).label("on_time_extended"),
        )
        .join(Organisation, Organisation.id == counted.organisation_id)
        .where(caller.scope(Organisation.id))
        .group_by(func.grouping_sets(tuple_(*organisation), tuple_()))
        .order_by(Organisation.sort_key.nulls_last(), Organisation.id)
    )


async def compute_extensions(
    session: AsyncSession, period: Period, caller: Caller
) -> tuple[ExtensionFigures, list[ExtensionGroup]]:
    """Return totals and organisations that the caller may see."""
    rows = (await session.execute(extensions_query(period, caller))).all()
    total = next(row for row in rows if row.is_total)
    groups = [ExtensionGroup(key=row.key, name=row.name, **_figures(row)) for row in rows if not row.is_total]
    return ExtensionFigures(**_figures(total)), groups


def _figures(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ExtensionFigures.model_fields}
