"""Organisations ranked among their peers by a share of the SLA figures of any period."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.analytics.appeal_figures import SHARE_DIGITS, appeals_link
from services.metrics.fairness.peer_groups import peer_group
from services.metrics.fairness.ranking import (
    ListedShare,
    Observed,
    PeerRanking,
    RankedShare,
    configured_rule,
    rank_among_peers,
)
from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.indicators.period import Period
from services.metrics.indicators.sla import compute_sla
from services.metrics.schemas.analytics import (
    AppealDimension,
    ListedRow,
    PeerRankings,
    RankedMeasure,
    RankedPeerGroup,
    RankedRow,
)
from services.metrics.schemas.metrics import SlaFigures, SlaGroup, SlaGroupBy
from shared.auth.callers import Caller
from shared.clock import REGION_TIME_ZONE
from shared.database.id_conditions import is_one_of
from shared.tables.registry import Organisation


def _share(measure: RankedMeasure, figures: SlaFigures) -> tuple[int, int]:
    """Return successes and trials of the measure."""
    if measure is RankedMeasure.ON_TIME:
        return figures.on_time, figures.on_time + figures.overdue
    return figures.answered, figures.opened - figures.waiting


async def compute_rankings(
    session: AsyncSession,
    period: Period,
    caller: Caller,
    now: datetime,
    *,
    measure: RankedMeasure,
) -> PeerRankings:
    """Return the ranks of the organisations that the caller may see, among these."""
    _, groups = await compute_sla(session, period, SlaGroupBy.ORGANISATION, caller, now)
    figures = {UUID(group.key): group for group in groups if group.key != NO_GROUP}
    rankings = rank_among_peers(await _observed(session, figures, measure), configured_rule())
    return PeerRankings(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        measure=measure,
        groups=[_shown_group(ranking, period) for ranking in rankings],
    )


async def _observed(
    session: AsyncSession, figures: Mapping[UUID, SlaGroup], measure: RankedMeasure
) -> list[Observed]:
    """Return the shares of organisations with figures, with their peer groups."""
    found = await session.execute(
        select(
            Organisation.id, Organisation.name, Organisation.short_name, Organisation.kind, Organisation.sphere
        ).where(is_one_of(Organisation.id, figures))
    )
    return [
        Observed(
            one.id,
            one.short_name or one.name,
            peer_group(one.kind, one.sphere, one.name),
            *_share(measure, figures[one.id]),
        )
        for one in found
    ]


def csv_rows(rankings: PeerRankings) -> Iterator[list[object]]:
    """Yield the ranking as CSV has it: the heading, then a row for each organisation."""
    names = [name for name in RankedRow.model_fields if name != "appeals"]
    yield ["group", "group_title", *names, "appeals"]
    for group in rankings.groups:
        for row in group.organisations:
            yield [group.code, group.title, *(getattr(row, name) for name in names), row.appeals]


def _shown_group(ranking: PeerRanking, period: Period) -> RankedPeerGroup:
    return RankedPeerGroup(
        code=ranking.group.value,
        title=ranking.group.label,
        mean=None if ranking.prior is None else round(ranking.prior.mean, SHARE_DIGITS),
        ranked=ranking.ranked,
        organisations=[_shown(share, period) for share in ranking.organisations],
        best=[_listed(one) for one in ranking.best],
        worst=[_listed(one) for one in ranking.worst],
    )


def _shown(share: RankedShare, period: Period) -> RankedRow:
    return RankedRow(
        organisation_id=share.id,
        name=share.name,
        rank=share.rank,
        note=share.note,
        successes=share.successes,
        trials=share.trials,
        share=_rounded(share.share),
        low=_rounded(share.low),
        high=_rounded(share.high),
        score=_rounded(share.score),
        appeals=appeals_link(period, {AppealDimension.ORGANISATION: str(share.id)}),
    )


def _listed(one: ListedShare) -> ListedRow:
    return ListedRow(organisation_id=one.organisation.id, name=one.organisation.name, reason=one.reason)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, SHARE_DIGITS)
