"""Organisations ranked among their peers by a share of their appeals in any period."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.analytics.appeal_figures import SHARE_DIGITS, appeals_link
from services.metrics.analytics.appeal_tables import counts_of, table_query
from services.metrics.fairness.peer_groups import peer_group
from services.metrics.fairness.ranking import (
    ListedShare,
    Observed,
    PeerRanking,
    RankedShare,
    configured_rule,
    rank_among_peers,
)
from services.metrics.indicators.dimensions import AppealSelection
from services.metrics.schemas.analytics import (
    AppealDimension,
    ListedRow,
    PeerRankings,
    RankedMeasure,
    RankedPeerGroup,
    RankedRow,
)
from services.metrics.schemas.metrics import SlaFigure
from shared.clock import REGION_TIME_ZONE
from shared.database.id_conditions import is_one_of
from shared.tables.registry import Organisation

CSV_HEADING = ("group", "group_title", *RankedRow.model_fields)


def _share(measure: RankedMeasure, figures: Mapping[str, int]) -> tuple[int, int]:
    """Return how many appeals count as successes of the measure, and how many appeals it covers."""
    if measure is RankedMeasure.ON_TIME:
        return figures[SlaFigure.ON_TIME], figures[SlaFigure.ON_TIME] + figures[SlaFigure.OVERDUE]
    return figures[SlaFigure.ANSWERED], figures[SlaFigure.OPENED] - figures[SlaFigure.WAITING]


async def compute_rankings(
    session: AsyncSession, selection: AppealSelection, measure: RankedMeasure
) -> PeerRankings:
    """Return the ranks of organisations by the selected appeals, among the organisations that the caller may
    see.
    """
    rows = await session.execute(table_query(selection, [AppealDimension.ORGANISATION]))
    figures = {UUID(row[0]): counts_of(row) for row in rows if row[0] is not None}
    observed = await _observed(session, figures, measure)
    return await asyncio.to_thread(_ranked, observed, selection, measure)


async def _observed(
    session: AsyncSession, figures: Mapping[UUID, Mapping[str, int]], measure: RankedMeasure
) -> list[Observed]:
    """Return the shares of the organisations with figures, and their peer groups."""
    found = await session.execute(
        select(Organisation.id, Organisation.name, Organisation.kind, Organisation.sphere).where(
            is_one_of(Organisation.id, figures)
        )
    )
    return [
        Observed(one.id, one.name, peer_group(one.kind, one.sphere, one.name), *_share(measure, figures[one.id]))
        for one in found
    ]


def _ranked(observed: Sequence[Observed], selection: AppealSelection, measure: RankedMeasure) -> PeerRankings:
    period = selection.period
    return PeerRankings(
        start=period.start,
        end=period.end,
        time_zone=REGION_TIME_ZONE.key,
        measure=measure,
        groups=[_shown_group(ranking, selection) for ranking in rank_among_peers(observed, configured_rule())],
    )


def csv_rows(rankings: PeerRankings) -> Iterator[list[object]]:
    """Yield the rows of the ranking for CSV: the heading, then a row for each organisation."""
    yield list(CSV_HEADING)
    for group in rankings.groups:
        for row in group.organisations:
            yield [group.code, group.title, *(getattr(row, name) for name in RankedRow.model_fields)]


def _shown_group(ranking: PeerRanking, selection: AppealSelection) -> RankedPeerGroup:
    return RankedPeerGroup(
        code=ranking.group.value,
        title=ranking.group.label,
        mean=None if ranking.prior is None else round(ranking.prior.mean, SHARE_DIGITS),
        ranked=ranking.ranked,
        organisations=[_shown(share, selection) for share in ranking.organisations],
        best=[_listed(one) for one in ranking.best],
        worst=[_listed(one) for one in ranking.worst],
    )


def _shown(share: RankedShare, selection: AppealSelection) -> RankedRow:
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
        appeals=appeals_link(
            selection.period, selection.filters.keys | {AppealDimension.ORGANISATION: str(share.id)}
        ),
    )


def _listed(one: ListedShare) -> ListedRow:
    return ListedRow(organisation_id=one.organisation.id, name=one.organisation.name, reason=one.reason)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, SHARE_DIGITS)
