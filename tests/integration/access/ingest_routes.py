"""Rows of the matrix for ingest."""

from typing import Any

from services.ingest.networks.catalogue import NETWORKS
from shared.auth.rights import Right
from tests.integration.access.route_table import Call, Listing, Open, Row, body, thing


def _compared(found: Any) -> int:
    """Return the number of failing reconciliations; check that each sample page has two, one of them failing."""
    failing: int = found["failing"]
    assert found["requested"] == 2 * failing
    return failing


# The routes for events that networks push, of every network that pushes.
PUSH: dict[str, Row] = {
    f"POST /callbacks/{name}" + ("/{secret}" if push.has_secret_path else ""): Open("the secret of the page")
    for name, spec in NETWORKS.items()
    if (push := spec.push) is not None
}
ROWS: dict[str, Row] = PUSH | {
    "GET /api/v1/messages": Listing(Right.MESSAGES_READ, shows="message_id"),
    "GET /api/v1/messages/{message_id}": Call(Right.MESSAGES_READ),
    "GET /api/v1/sources": Listing(Right.SOURCES_READ, shows="page_id", key="page_id"),
    "GET /api/v1/sources/call-budgets": Call(Right.SOURCES_INSPECT),
    "GET /api/v1/sources/{page_id}": Call(Right.SOURCES_READ),
    "GET /api/v1/sources/tokens": Listing(Right.SOURCES_INSPECT, shows="token_id"),
    "POST /api/v1/sources/tokens": Call(
        Right.SOURCES_MANAGE, body(network="vk", kind="group", page_id=thing("page_id"), token="vk1.a.new")
    ),
    "POST /api/v1/sources/tokens/{token_id}/recover": Call(Right.SOURCES_MANAGE, body()),
    "DELETE /api/v1/sources/tokens/{token_id}": Call(Right.SOURCES_MANAGE),
    "POST /api/v1/sources/{page_id}/backfills": Call(
        Right.SOURCES_MANAGE, body(since="2026-01-01T00:00:00+08:00"), names={"page_id": "other_page_id"}
    ),
    "GET /api/v1/sources/backfills": Listing(Right.SOURCES_READ, shows="backfill_id"),
    "GET /api/v1/sources/backfills/{backfill_id}": Call(Right.SOURCES_READ),
    "POST /api/v1/sources/backfills/{backfill_id}/cancel": Call(Right.SOURCES_MANAGE),
    "POST /api/v1/sources/reconciliations": Call(Right.SOURCES_MANAGE, body()),
    "GET /api/v1/sources/reconciliations": Listing(Right.SOURCES_READ, shows="reconciliation_id"),
    "GET /api/v1/sources/reconciliations/summary": Listing(Right.SOURCES_READ, counts=_compared),
    "POST /api/v1/sources/{page_id}/reconciliations": Call(Right.SOURCES_MANAGE, body()),
    # A list about one page: it is empty for a page that the caller may not see.
    "GET /api/v1/sources/{page_id}/reconciliations": Listing(
        Right.SOURCES_READ, shows="reconciliation_id", hidden=200
    ),
    "GET /api/v1/sources/{page_id}/callback": Call(Right.SOURCES_READ),
    "PUT /api/v1/sources/{page_id}/callback": Call(Right.SOURCES_MANAGE, body(secret="s3cret-of-the-server")),
    "DELETE /api/v1/sources/{page_id}/callback": Call(Right.SOURCES_MANAGE),
    "GET /api/v1/sources/quarantine": Listing(Right.SOURCES_READ, shows="payload_id"),
    "GET /api/v1/sources/quarantine/{payload_id}": Call(Right.SOURCES_INSPECT),
    # The payload still cannot be parsed.
    "POST /api/v1/sources/quarantine/{payload_id}/retry": Call(Right.SOURCES_MANAGE, answers=frozenset({409})),
    "GET /api/v1/publications": Listing(Right.APPEALS_READ, shows="publication_id"),
    "GET /api/v1/publications/{publication_id}": Call(Right.APPEALS_READ),
    "POST /api/v1/publications/{publication_id}/retry": Call(Right.APPEALS_ANSWER),
}
