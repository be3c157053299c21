"""The rows of the matrix, of all services."""

from tests.integration.access import calls_ingest, calls_others, calls_registry
from tests.integration.access.calls import Call, Listing, Row

ROWS: dict[str, Row] = (
    calls_registry.ROWS | calls_ingest.ROWS | calls_others.APPEALS | calls_others.METRICS | calls_others.WEBHOOKS
)
CALLS: dict[str, Call] = {route: row for route, row in ROWS.items() if isinstance(row, Call)}
LISTINGS: dict[str, Listing] = {route: row for route, row in CALLS.items() if isinstance(row, Listing)}
