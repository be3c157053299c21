"""The organisations of a report by peer group, ranked by the share of responses given in time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from services.metrics.fairness.peer_groups import peer_group
from services.metrics.fairness.ranking import (
    ListedShare,
    Observed,
    PeerRanking,
    RankedShare,
    configured_rule,
    rank_among_peers,
)
from services.metrics.schemas.weekly_report import OrganisationRow, PeerGroup, RankedOrganisation
from services.metrics.weekly_report.printed_names import Labels
from services.metrics.weekly_report.week_figures import WeekFigures


def peer_groups(figures: WeekFigures, opened: Mapping[UUID | None, int], labels: Labels) -> list[PeerGroup]:
    """Return the peer groups of the organisations with any counted rows in the week.

    `opened` is the number of appeals opened in the week by organisation.
    """
    active = {one for one in figures.by_organisation.keys() | opened.keys() if one is not None}
    observed = []
    for organisation_id in sorted(active, key=str):
        counts = figures.by_organisation.get(organisation_id, Counter())
        found = labels.organisations[organisation_id]
        group = peer_group(found.kind, found.sphere, found.full_name)
        observed.append(Observed(organisation_id, found.name, group, counts["on_time"], counts["responses"]))
    return [_peer_group(ranking, figures, opened) for ranking in rank_among_peers(observed, configured_rule())]


def _peer_group(ranking: PeerRanking, figures: WeekFigures, opened: Mapping[UUID | None, int]) -> PeerGroup:
    return PeerGroup(
        code=ranking.group.value,
        title=ranking.group.label,
        organisations=[
            _row(share, figures.by_organisation.get(share.id, Counter()), opened.get(share.id, 0))
            for share in ranking.organisations
        ],
        best=_listed(ranking.best),
        worst=_listed(ranking.worst),
    )


def _row(share: RankedShare, counts: Counter[str], appeals: int) -> OrganisationRow:
    return OrganisationRow(
        organisation_id=share.id,
        name=share.name,
        appeals=appeals,
        responses=counts["responses"],
        on_time=counts["on_time"],
        overdue=counts["overdue"],
        unanswered=counts["responses"] - counts["answered"],
        deleted=counts["deleted"],
        closed_unanswered=counts["closed_unanswered"],
        final_answers=counts["final_answers"],
        solved=counts["solved"],
        canned=counts["canned"],
        not_solved_said=counts["not_solved_said"],
        score=_percent(share.score),
        low=_percent(share.low),
        high=_percent(share.high),
        rank=share.rank,
    )


def _listed(shares: Sequence[ListedShare]) -> list[RankedOrganisation]:
    return [
        RankedOrganisation(organisation_id=one.organisation.id, name=one.organisation.name, reason=one.reason)
        for one in shares
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
