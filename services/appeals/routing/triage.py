"""The route of an appeal in triage."""

from services.appeals.lifecycle.route_snapshot import returned_by_organisation, route_of
from services.appeals.routing.engine import Route
from shared.tables.appeals import Appeal


def keep_in_triage(appeal: Appeal, route: Route) -> None:
    """Store the present route; the organisation that returned the appeal is not suggested again."""
    triage = route.to_triage_snapshot(excluding=returned_by_organisation(appeal))
    appeal.route = route_of(appeal).replaced_by(triage).dump()
