"""The rows of the access matrix for all services."""

from tests.integration.access import ingest_routes, other_services_routes, registry_routes
from tests.integration.access.route_table import Call, Listing, Row

ROWS: dict[str, Row] = (
    registry_routes.ROWS
    | ingest_routes.ROWS
    | other_services_routes.APPEALS
    | other_services_routes.METRICS
    | other_services_routes.WEBHOOKS
)
CALLS: dict[str, Call] = {route: row for route, row in ROWS.items() if isinstance(row, Call)}
LISTINGS: dict[str, Listing] = {route: row for route, row in CALLS.items() if isinstance(row, Listing)}
