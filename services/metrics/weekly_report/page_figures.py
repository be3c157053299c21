"""The health of pages in a report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Self

from sqlalchemy import Numeric, Select, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.indicators.weeks import Week
from services.metrics.page_health.engagement import read_audiences
from services.metrics.page_health.health_summary import summarize_page_health
from services.metrics.page_health.page_groups import peer_group_parameters
from services.metrics.report_populations.pages import pages
from services.metrics.schemas.weekly_report import (
    PageFigures,
    PageGroupFigures,
    PageLights,
    ReportAudience,
    ReportFormula,
    ReportSilentPage,
)
from shared.clock import REGION_TIME_ZONE
from shared.tables.metrics_pages import PageScoreFormula

_LIGHTS = tuple(PageLights.model_fields)


@dataclass
class ScoredPages:
    """Counts of pages by light, the sum of their scores, and the numbers of the formulas that scored them."""

    lights: Counter[str] = field(default_factory=Counter)
    scores: Decimal = Decimal(0)
    formulas: set[int] = field(default_factory=set)

    def add(self, row: Any) -> None:
        """Add the pages counted in a row."""
        self.lights[row.light] += row.pages
        self.scores += row.scores or 0
        self.formulas.add(row.formula)

    @property
    def scored(self) -> int:
        """Return how many pages have a score."""
        return self.lights.total() - self.lights["unknown"]

    @property
    def mean(self) -> Decimal | None:
        """Return the mean score; None without scored pages."""
        return self.scores / self.scored if self.scored else None

    def mean_change(self, before: Self) -> float | None:
        """Return the change of the mean; None if one of the means is missing or the formulas differ."""
        if self.mean is None or before.mean is None or self.formulas != before.formulas:
            return None
        return float(round(self.mean - before.mean, 1))


async def read_page_figures(session: AsyncSession, week: Week) -> PageFigures | None:
    """Return the figures of the pages scored in the week; None if no page has a score."""
    peers = await peer_group_parameters(session)
    groups = await _scored_pages(session, week, peers)
    former = await _scored_pages(session, week.shifted(-1), peers)
    total, before = _together(groups), _together(former)
    mean = total.mean
    if mean is None:
        return None
    compared = total.formulas == before.formulas
    summary = await summarize_page_health(session, week, changes=0)
    return PageFigures(
        scored=total.scored,
        **_lights(total.lights).model_dump(),
        lights_last_week=_lights(before.lights) if before.lights else None,
        light_changes=_light_changes(total, before) if compared else None,
        mean_score=float(round(mean, 1)),
        mean_score_last_week=float(round(before.mean, 1)) if compared and before.mean is not None else None,
        change=total.mean_change(before),
        formulas=await _formulas(session, total.formulas),
        groups=[
            _group(group, groups.get(group, ScoredPages()), former.get(group, ScoredPages()), compared=compared)
            for group in PeerGroup
            if group in groups.keys() | former.keys()
        ],
        silent=[
            ReportSilentPage(
                page_id=page.page_id,
                name=page.name,
                network=page.network,
                last_post_on=None
                if page.last_post_at is None
                else page.last_post_at.astimezone(REGION_TIME_ZONE).date(),
            )
            for page in summary.silent
        ],
        audience=await _audience(session, week),
    )


async def _scored_pages(
    session: AsyncSession, week: Week, peers: Mapping[str, Sequence[Any]]
) -> dict[PeerGroup, ScoredPages]:
    found: dict[PeerGroup, ScoredPages] = {}
    for row in await session.execute(_query(), {"period_start": week.start, **peers}):
        found.setdefault(PeerGroup(row.peer_group), ScoredPages()).add(row)
    return found


@cache
def _query() -> Select[Any]:
    rows = pages().subquery("pages").c
    keys = (rows.peer_group, rows.light, rows.formula)
    # Summed as decimals: a mean of binary fractions would depend on the order of the rows.
    scores = func.sum(cast(rows.score, Numeric(4, 1)))
    return select(*keys, func.count().label("pages"), scores.label("scores")).group_by(*keys)


def _together(groups: Mapping[PeerGroup, ScoredPages]) -> ScoredPages:
    total = ScoredPages()
    for one in groups.values():
        total.lights.update(one.lights)
        total.scores += one.scores
        total.formulas |= one.formulas
    return total


def _lights(counts: Mapping[str, int]) -> PageLights:
    return PageLights(**{light: counts[light] for light in _LIGHTS})


def _light_changes(pages_now: ScoredPages, before: ScoredPages) -> PageLights:
    return PageLights(**{light: pages_now.lights[light] - before.lights[light] for light in _LIGHTS})


def _group(group: PeerGroup, now: ScoredPages, before: ScoredPages, *, compared: bool) -> PageGroupFigures:
    """Return the figures of a group; the group may have no pages left since last week."""
    return PageGroupFigures(
        code=group.value,
        title=group.label,
        **_lights(now.lights).model_dump(),
        light_changes=_light_changes(now, before) if compared else None,
        mean_score=None if now.mean is None else float(round(now.mean, 1)),
        change=now.mean_change(before),
    )


async def _formulas(session: AsyncSession, numbers: set[int]) -> list[ReportFormula]:
    query = select(PageScoreFormula).where(PageScoreFormula.number.in_(numbers)).order_by(PageScoreFormula.number)
    return [
        ReportFormula(number=one.number, name=one.name, green_from=one.green_from, yellow_from=one.yellow_from)
        for one in await session.scalars(query)
    ]


async def _audience(session: AsyncSession, week: Week) -> list[ReportAudience]:
    before = {one.network: one for one in await read_audiences(session, week.shifted(-1))}
    audience = []
    for one in await read_audiences(session, week):
        former = before.get(one.network)
        same_base = former is not None and former.engagement_of == one.engagement_of
        audience.append(
            ReportAudience(
                **one.model_dump(),
                engagement_last_week=former.engagement if former is not None and same_base else None,
                reach_share_last_week=None if former is None else former.reach_share,
            )
        )
    return audience
