"""Engagement and reach, as percentages: of a page in a week, and of all pages of a network."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Integer, Row, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.indicators.weeks import Week
from services.metrics.schemas.page_health import EngagementBase, NetworkAudience, PageEngagement, PageInputs
from shared.networks import NETWORKS
from shared.tables.metrics_pages import PageScore
from shared.tables.registry import Page


def interactions_of(inputs: PageInputs) -> int | None:
    """Return the sum of likes, comments and reposts; None if any of them is unknown."""
    if inputs.likes is None or inputs.comments is None or inputs.reposts is None:
        return None
    return inputs.likes + inputs.comments + inputs.reposts


def page_engagement(inputs: PageInputs) -> PageEngagement | None:
    """Return the engagement with the page's posts; None if it is unknown."""
    interactions = interactions_of(inputs)
    if interactions is None or inputs.reacted_posts is None:
        return None
    base: EngagementBase = "members" if inputs.views is None else "views"
    whole = inputs.members if inputs.views is None else inputs.views
    rate = _rate(interactions, whole, 2) if inputs.reacted_posts else None
    return PageEngagement(
        posts=inputs.reacted_posts,
        views=inputs.views,
        interactions=interactions,
        rate=rate,
        rate_of=None if rate is None else base,
    )


def reach_share(reach: int | None, members: int | None) -> float | None:
    """Return the reach as a percentage of the subscribers, with one decimal; None if either is unknown."""
    return None if reach is None else _rate(reach, members, 1)


async def read_audiences(session: AsyncSession, week: Week) -> list[NetworkAudience]:
    """Return the audience by network, over the scored pages; only networks with a page whose audience is known."""
    rows = await session.execute(
        select(Page.network, *audience_columns())
        .select_from(PageScore)
        .join(Page, Page.id == PageScore.page_id)
        .where(PageScore.week == week.name)
        .group_by(Page.network)
    )
    found = {row.network: row for row in rows if row.pages or row.reach_pages}
    return [network_audience(found[network]) for network in NETWORKS if network in found]


def audience_columns() -> list[ColumnElement[Any]]:
    """Return the SQL sums over rows of `page_scores` that `network_audience` needs."""
    inputs = {
        name: cast(PageScore.inputs[name].astext, Integer)
        for name in (
            "members", "reacted_posts", "views", "likes", "comments", "reposts", "reach", "mean_post_reach",
        )
    }  # fmt: skip
    interactions = inputs["likes"] + inputs["comments"] + inputs["reposts"]
    # A page without posts has no views in any network, so it does not count for engagement.
    has_posts = inputs["reacted_posts"] > 0
    has_views, has_reach = inputs["views"].is_not(None) & has_posts, inputs["reach"].is_not(None)
    has_mean = inputs["mean_post_reach"].is_not(None) & has_posts
    return [
        func.count(interactions).label("pages"),
        func.sum(inputs["reacted_posts"]).filter(interactions.is_not(None)).label("posts"),
        func.sum(interactions).label("interactions"),
        func.sum(inputs["views"]).filter(has_posts).label("views"),
        func.sum(interactions).filter(has_views).label("viewed_interactions"),
        func.sum(interactions).filter(inputs["members"].is_not(None)).label("member_interactions"),
        func.sum(inputs["members"]).filter(interactions.is_not(None), has_posts).label("members"),
        func.count(inputs["reach"]).label("reach_pages"),
        func.sum(inputs["reach"]).label("reach"),
        func.sum(inputs["reach"]).filter(inputs["members"].is_not(None)).label("member_reach"),
        func.sum(inputs["members"]).filter(has_reach).label("reach_members"),
        func.sum(inputs["mean_post_reach"] * inputs["reacted_posts"]).filter(has_mean).label("post_reach"),
        func.sum(inputs["reacted_posts"]).filter(has_mean).label("reach_posts"),
    ]


def network_audience(row: Row[*tuple[Any, ...]]) -> NetworkAudience:
    """Return the audience of one network's pages from a row of `audience_columns`."""
    base: EngagementBase = "members" if row.views is None else "views"
    if row.views is None:
        engagement = _rate(row.member_interactions or 0, row.members, 2)
    else:
        engagement = _rate(row.viewed_interactions, row.views, 2)
    mean = _quotient(row.post_reach or 0, row.reach_posts, 0)
    return NetworkAudience(
        network=row.network,
        pages=row.pages,
        posts=row.posts or 0,
        views=row.views,
        interactions=row.interactions or 0,
        engagement=engagement,
        engagement_of=None if engagement is None else base,
        reach_pages=row.reach_pages,
        reach=row.reach,
        reach_share=_rate(row.member_reach or 0, row.reach_members, 1),
        mean_post_reach=None if mean is None else int(mean),
    )


def _rate(part: int, whole: int | None, places: int) -> float | None:
    found = _quotient(100 * part, whole, places)
    return None if found is None else float(found)


def _quotient(part: int, whole: int | None, places: int) -> Decimal | None:
    """Return the quotient, halves rounded up; None if the divisor is zero or unknown."""
    return (Decimal(part) / whole).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) if whole else None
