"""Missing data of a week, in words."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.period import Period
from services.metrics.indicators.weeks import Week
from shared.clock import REGION_TIME_ZONE
from shared.russian import plural
from shared.tables.appeals import Appeal
from shared.tables.ingest import QuarantinedPayload, Reconciliation
from shared.tables.registry import Page

_QUARANTINED = (
    "сообщение из соцсети не разобрано и ждёт в карантине: в отчёт оно не вошло",
    "сообщения из соцсетей не разобраны и ждут в карантине: в отчёт они не вошли",
    "сообщений из соцсетей не разобраны и ждут в карантине: в отчёт они не вошли",
)


async def read_gaps(session: AsyncSession, week: Week, as_of: datetime) -> list[str]:
    """Return a sentence for each kind of data that is missing in the week."""
    period = week.period
    gaps = []
    if as_of < period.end:
        gaps.append(f"Неделя не закончилась: данные на {as_of.astimezone(REGION_TIME_ZONE):%d.%m.%Y %H:%M}.")
    first = await session.scalar(select(func.min(Appeal.opened_at)))
    if first is not None and period.start < first < period.end:
        gaps.append(f"Сбор начался {first.astimezone(REGION_TIME_ZONE):%d.%m.%Y}: неделя неполная.")
    quarantined = await _count(session, QuarantinedPayload.id, QuarantinedPayload.created_at, period)
    if quarantined:
        gaps.append(f"{quarantined} {plural(quarantined, _QUARANTINED)}.")
    failed = await _count(
        session,
        Reconciliation.page_id.distinct(),
        Reconciliation.started_at,
        period,
        or_(Reconciliation.error.is_not(None), Reconciliation.finished_at.is_(None)),
    )
    if failed:
        units = plural(failed, ("страница", "страницы", "страниц"))
        gaps.append(f"{failed} {units}: сверка с сетью не удалась, пропуски возможны.")
    unknown = await _pages_without_reconciliation(session, period)
    if unknown:
        units = plural(unknown, ("страница не сверена", "страницы не сверены", "страниц не сверены"))
        gaps.append(f"{unknown} {units} с сетью за неделю ни разу.")
    return gaps


async def _count(
    session: AsyncSession, what: Any, moment: Any, period: Period, *conditions: ColumnElement[bool]
) -> int:
    query = select(func.count(what)).where(moment >= period.start, moment < period.end, *conditions)
    return await session.scalar(query) or 0


async def _pages_without_reconciliation(session: AsyncSession, period: Period) -> int:
    done = (
        select(Reconciliation.id)
        .where(
            Reconciliation.page_id == Page.id,
            Reconciliation.started_at >= period.start,
            Reconciliation.started_at < period.end,
        )
        .exists()
    )
    query = select(func.count()).select_from(Page).where(Page.active, Page.created_at < period.start, ~done)
    return await session.scalar(query) or 0
