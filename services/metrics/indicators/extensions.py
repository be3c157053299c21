"""Extensions of deadlines by organisation, computed from rows of `extension_requests` and `sla_clocks`.

Docs: docs/moderator/metrics.md.
"""

from typing import Any

from sqlalchemy import Select, Text, and_, cast, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.by_organisation import read_by_organisation, select_by_organisation
from services.metrics.indicators.period import Period
from services.metrics.schemas.metrics import ExtensionFigures, ExtensionGroup
from shared.auth.callers import Caller
from shared.tables.appeals import Appeal
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.appeals_sla import SlaClock

_DECISIONS = ("approved", "refused", "withdrawn", "ended", "open")


def extensions_query(period: Period, caller: Caller) -> Select[Any]:
    """Return the SQL query of all figures: a row per organisation, and a row of totals, whose `is_total` is 1."""
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
    return select_by_organisation(
        counted.organisation_id,
        caller,
        func.count(counted.status).label("requested"),
        *(func.count().filter(counted.status == status).label(status) for status in _DECISIONS),
        func.count(counted.on_time).label("stopped"),
        func.count().filter(counted.on_time).label("on_time"),
        func.count().filter(counted.on_time, counted.extended).label("on_time_extended"),
    )


async def compute_extensions(
    session: AsyncSession, period: Period, caller: Caller
) -> tuple[ExtensionFigures, list[ExtensionGroup]]:
    """Return the totals, and the figures of the organisations that the caller may see."""
    query = extensions_query(period, caller)
    return await read_by_organisation(session, query, ExtensionFigures, ExtensionGroup)
