"""The rows of the access matrix for all services."""

from tests.integration.access import ingest_routes, other_services_routes, registry_routes
from tests.integration.access.route_table import ListRoute, RouteCall, Row

ROWS: dict[str, Row] = (
    registry_routes.ROWS
    | ingest_routes.ROWS
    | other_services_routes.APPEALS
    | other_services_routes.METRICS
    | other_services_routes.WEBHOOKS
)
CALLS: dict[str, RouteCall] = {route: row for route, row in ROWS.items() if isinstance(row, RouteCall)}
LISTINGS: dict[str, ListRoute] = {route: row for route, row in CALLS.items() if isinstance(row, ListRoute)}
