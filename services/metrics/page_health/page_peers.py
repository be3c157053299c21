"""Pages compared with their peers: pages of similar organisations in the same network."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.peer_groups import PeerGroup, peer_group
from services.metrics.indicators.weeks import requested_week
from services.metrics.page_health.engagement import page_engagement, reach_share
from services.metrics.page_health.score_run import newest_scored_week
from services.metrics.page_health.scoring import WEEK_DAYS
from services.metrics.schemas.page_formulas import ScoredWeek
from services.metrics.schemas.page_health import (
    EngagementBase,
    PageAmongPeers,
    PageEngagement,
    PageInputs,
    PagePeerGroup,
    PagePeers,
)
from services.metrics.settings import metrics_settings
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.networks import NETWORKS, NetworkName
from shared.russian import plural
from shared.tables.metrics_pages import PageScore
from shared.tables.registry import Organisation, Page


class PagePeerFilter(ListFilter):
    """Filter of the compared pages."""

    week: ScoredWeek = None
    network: NetworkName | None = None
    page_id: UUID | None = Field(default=None, description="Only the peers of this page, with its rank")


@dataclass(frozen=True, slots=True)
class ComparedPage:
    """The figures of a page in a week that are compared."""

    id: UUID
    score: float | None
    posts: int | None
    engagement: PageEngagement | None
    reach_share: float | None


PeerClass = tuple[PeerGroup, str]


async def compare_peers(session: AsyncSession, filters: PagePeerFilter, caller: Caller) -> PagePeers:
    """Return the peer groups of a week's pages that the caller may see; none if `page_id` is not among these
    pages.

    Raises `Invalid` for a week that does not exist.
    """
    week = requested_week(filters.week, "query/week") if filters.week else await newest_scored_week(session)
    if week is None:
        return PagePeers(week=None, groups=[], page=None)
    query = (
        select(
            Page.id,
            Page.network,
            PageScore.score,
            PageScore.inputs,
            Organisation.kind,
            Organisation.sphere,
            Organisation.name,
        )
        .select_from(PageScore)
        .join(Page, Page.id == PageScore.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .where(PageScore.week == week.name, caller.scope(Page.organisation_id))
    )
    if filters.network is not None:
        query = query.where(Page.network == filters.network)
    if filters.page_id is not None:
        own = select(Page.network).where(Page.id == filters.page_id)
        query = query.where(Page.network == own.scalar_subquery())
    rows = (await session.execute(query)).all()
    classes = await asyncio.to_thread(_classes, rows)
    if filters.page_id is None:
        return PagePeers(week=week.name, groups=_groups(classes), page=None)
    for key, pages in classes.items():
        page = next((one for one in pages if one.id == filters.page_id), None)
        if page is not None:
            group = describe_group(key, pages)
            return PagePeers(week=week.name, groups=[group], page=among_peers(page, pages, group))
    return PagePeers(week=week.name, groups=[], page=None)


def _classes(rows: Sequence[Row[Any]]) -> dict[PeerClass, list[ComparedPage]]:
    found: dict[PeerClass, list[ComparedPage]] = defaultdict(list)
    for row in rows:
        inputs = PageInputs.model_validate(row.inputs)
        found[peer_group(row.kind, row.sphere, row.name), row.network].append(
            ComparedPage(
                id=row.id,
                score=None if row.score is None else float(row.score),
                posts=(inputs.posts or {}).get(WEEK_DAYS),
                engagement=page_engagement(inputs),
                reach_share=reach_share(inputs.reach, inputs.members),
            )
        )
    return found


def _groups(classes: dict[PeerClass, list[ComparedPage]]) -> list[PagePeerGroup]:
    order = [(group, network) for group in PeerGroup for network in NETWORKS]
    return [describe_group(key, classes[key]) for key in order if key in classes]


def describe_group(key: PeerClass, pages: Sequence[ComparedPage]) -> PagePeerGroup:
    """Return the medians and quartiles of a group of pages."""
    group, network = key
    scores = sorted(page.score for page in pages if page.score is not None)
    least = metrics_settings().rank_min_peers
    lower = upper = note = None
    if len(scores) >= least:
        lower, _, upper = quantiles(scores, n=4, method="inclusive")
    else:
        listed = f"{len(scores)} {plural(len(scores), ('страница', 'страницы', 'страниц'))} с баллом"
        note = f"мало данных: {listed}, а для сравнения нужно не меньше {least}"
    rates, base = _rates(pages)
    return PagePeerGroup(
        code=group.value,
        title=group.label,
        network=network,
        pages=len(pages),
        scored=len(scores),
        median_score=_median(scores, 1),
        lower_quartile=None if lower is None else round(lower, 1),
        upper_quartile=None if upper is None else round(upper, 1),
        median_posts=_median([page.posts for page in pages if page.posts is not None], 1),
        median_engagement=_median(rates, 2),
        engagement_of=None if _median(rates, 2) is None else base,
        median_reach_share=_median([page.reach_share for page in pages if page.reach_share is not None], 1),
        note=note,
    )


def among_peers(page: ComparedPage, peers: Sequence[ComparedPage], group: PagePeerGroup) -> PageAmongPeers:
    """Return the rank of a page among its peers; null without a score or with too few peers."""
    if page.score is None or group.median_score is None:
        return PageAmongPeers(page_id=page.id, score=page.score, rank=None, to_median=None)
    better = sum(peer.score is not None and peer.score > page.score for peer in peers)
    to_median = round(page.score - group.median_score, 1)
    return PageAmongPeers(page_id=page.id, score=page.score, rank=better + 1, to_median=to_median)


def _rates(pages: Sequence[ComparedPage]) -> tuple[list[float], EngagementBase]:
    """Return the engagement rates of pages that have the same base: views if any page has them, otherwise
    members.
    """
    known = [page.engagement for page in pages if page.engagement is not None and page.engagement.rate is not None]
    base: EngagementBase = "views" if any(one.rate_of == "views" for one in known) else "members"
    return [one.rate for one in known if one.rate is not None and one.rate_of == base], base


def _median(values: Sequence[float], places: int) -> float | None:
    """Return the median; None if there are too few values to compare."""
    return round(median(values), places) if len(values) >= metrics_settings().rank_min_peers else None
