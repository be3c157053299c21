"""Scores of pages: the pages of one week, and the weeks of one page."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, and_, false, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.indicators.weeks import Week, requested_week
from services.metrics.page_health.page_groups import PeerGroupCode, peer_group_parameters, peers_table
from services.metrics.page_health.score_conditions import SILENT_DAYS, SORTED_SCORE, fell_silent, score_change
from services.metrics.page_health.score_run import newest_scored_week
from services.metrics.schemas.page_formulas import ScoredWeek
from services.metrics.schemas.page_health import PageLight
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.http.problems import NotFound
from shared.networks import NetworkName
from shared.tables.metrics_pages import PageScore, PageScoreFormula
from shared.tables.registry import Organisation, Page


class PageScoreFilter(ListFilter):
    """Filter of the pages of a week."""

    week: ScoredWeek = None
    network: NetworkName | None = None
    organisation_id: UUID | None = None
    municipality: str | None = Field(
        default=None, pattern=r"^[0-9]{8}$", description="OKTMO code of the organisation", examples=["81701000"]
    )
    light: PageLight | None = None
    peer_group: PeerGroupCode | None = None
    silent: bool | None = Field(
        default=None,
        description=f"true: only pages that fell silent: {SILENT_DAYS} days without a post at the end of the "
        "week, and not yet a week earlier",
    )


async def list_page_scores(
    session: AsyncSession, filters: PageScoreFilter, caller: Caller, paging: Paging
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the pages of a week that the caller may see, worst first, one more than a page of the list.

    A row has `PageScore`, `Page`, `Organisation`, `PageScoreFormula`, `change` and `sorted_score`. Raises
    `Invalid` for a week that does not exist.
    """
    week = requested_week(filters.week, "query/week") if filters.week else await newest_scored_week(session)
    if week is None:
        return []
    before = aliased(PageScore)
    parameters = {} if filters.peer_group is None else await peer_group_parameters(session)
    query = (
        select(
            PageScore,
            Page,
            Organisation,
            PageScoreFormula,
            score_change(before).label("change"),
            SORTED_SCORE.label("sorted_score"),
        )
        .join(Page, Page.id == PageScore.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .join(PageScoreFormula, PageScoreFormula.id == PageScore.formula_id)
        .outerjoin(before, and_(before.page_id == PageScore.page_id, before.week == week.shifted(-1).name))
        .where(PageScore.week == week.name, caller.scope(Page.organisation_id), *_conditions(filters, week))
        .order_by(SORTED_SCORE, PageScore.page_id)
        .limit(paging.limit + 1)
    )
    after = paging.after((SORTED_SCORE, PageScore.page_id), (Decimal, UUID), descending=False)
    found = await session.execute(query if after is None else query.where(after), parameters)
    return found.all()


def _conditions(filters: PageScoreFilter, week: Week) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.network is not None:
        conditions.append(Page.network == filters.network)
    if filters.organisation_id is not None:
        conditions.append(Page.organisation_id == filters.organisation_id)
    if filters.municipality is not None:
        conditions.append(Organisation.municipality == filters.municipality)
    if filters.light is not None:
        conditions.append(PageScore.light == filters.light)
    if filters.peer_group is not None:
        peers = peers_table()
        conditions.append(
            Page.organisation_id.in_(select(peers.c.organisation_id).where(peers.c.code == filters.peer_group))
        )
    if filters.silent is not None:
        silent = func.coalesce(fell_silent(week), false())
        conditions.append(silent if filters.silent else ~silent)
    return conditions


async def list_weeks(
    session: AsyncSession, page_id: UUID, caller: Caller, paging: Paging
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the scores of a page, newest first, one more than a page of the list.

    A row has `PageScore`, `PageScoreFormula`, `change` to the newest earlier score, and that score's week as
    `week_before`. Raises `NotFound` for a page that does not exist or that the caller may not see.
    """
    seen = select(Page.id).where(Page.id == page_id, caller.scope(Page.organisation_id))
    if await session.scalar(seen) is None:
        raise NotFound("No such page")
    other = aliased(PageScore)
    before = (
        select(other.week, other.score, other.formula_id)
        .where(other.page_id == PageScore.page_id, other.week < PageScore.week)
        .order_by(other.week.desc())
        .limit(1)
        .correlate(PageScore)
        .lateral("before")
    )
    query = (
        select(
            PageScore, PageScoreFormula, before.c.week.label("week_before"), score_change(before.c).label("change")
        )
        .join(PageScoreFormula, PageScoreFormula.id == PageScore.formula_id)
        .outerjoin(before, true())
        .where(PageScore.page_id == page_id)
        .order_by(PageScore.week.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((PageScore.week,), (str,))
    return (await session.execute(query if after is None else query.where(after))).all()
