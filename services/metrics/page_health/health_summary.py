"""The health of all pages in a week, for reports: lights by network, silent pages, largest changes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.indicators.weeks import Week
from services.metrics.page_health.score_conditions import SILENT_DAYS, fell_silent, score_change
from services.metrics.schemas.page_health import (
    NetworkLights,
    PageHealthSummary,
    PageOwner,
    PageScoreChange,
    SilentPage,
)
from shared.networks import NETWORKS
from shared.tables.metrics_pages import PageScore
from shared.tables.registry import Organisation, Page

_LIGHTS = ("green", "yellow", "red", "unknown")


async def summarize_page_health(
    session: AsyncSession,
    week: Week,
    *,
    scope: ColumnElement[bool] | None = None,
    silent_days: int = SILENT_DAYS,
    changes: int = 5,
) -> PageHealthSummary:
    """Return the summary of a week; all counts are 0 if the week has no scores.

    `scope` restricts the pages, as `caller.scope(Page.organisation_id)` does. `best` and `worst` have at most
    `changes` pages. The same week always gives the same scores and changes; names and addresses of pages are the
    current ones.
    """
    within = and_(PageScore.week == week.name, true() if scope is None else scope)
    before = aliased(PageScore)
    change = score_change(before)
    compared = _pages(within, change.label("change")).join(
        before, and_(before.page_id == PageScore.page_id, before.week == week.shifted(-1).name)
    )
    best = compared.where(change > 0).order_by(change.desc(), PageScore.page_id).limit(changes)
    worst = compared.where(change < 0).order_by(change, PageScore.page_id).limit(changes)
    silent = (
        _pages(within).where(fell_silent(week, silent_days)).order_by(PageScore.last_post_at, PageScore.page_id)
    )
    return PageHealthSummary(
        week=week.name,
        lights=await _lights(session, within),
        silent=[
            SilentPage(**_shown(row), last_post_at=row.PageScore.last_post_at)
            for row in await session.execute(silent)
        ],
        best=_changes((await session.execute(best)).all()),
        worst=_changes((await session.execute(worst)).all()),
    )


async def _lights(session: AsyncSession, within: ColumnElement[bool]) -> list[NetworkLights]:
    rows = await session.execute(
        select(Page.network, PageScore.light, func.count())
        .join(Page, Page.id == PageScore.page_id)
        .where(within)
        .group_by(Page.network, PageScore.light)
    )
    counts = {(network, light): count for network, light, count in rows}
    return [
        NetworkLights(network=network, **{light: counts.get((network, light), 0) for light in _LIGHTS})
        for network in NETWORKS
    ]


def _pages(within: ColumnElement[bool], *more: ColumnElement[Any]) -> Select[Any]:
    return (
        select(PageScore, Page, Organisation, *more)
        .join(Page, Page.id == PageScore.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .where(within)
    )


def _changes(rows: Sequence[Row[Any]]) -> list[PageScoreChange]:
    return [
        PageScoreChange(**_shown(row), score=float(row.PageScore.score), change=float(row.change)) for row in rows
    ]


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "page_id": row.Page.id,
        "name": row.Page.name,
        "network": row.Page.network,
        "url": row.Page.url,
        "organisation": PageOwner(id=row.Organisation.id, name=row.Organisation.name),
    }
