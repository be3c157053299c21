"""Rows of the matrix for ingest."""

from typing import Any

from services.ingest.networks.catalogue import NETWORKS
from shared.auth.rights import Right
from tests.integration.access.route_table import ListRoute, PublicRoute, RouteCall, Row, body, sample_id


def _compared(found: Any) -> int:
    """Return the number of failing reconciliations; check that each sample page has two, one of them failing."""
    failing: int = found["failing"]
    assert found["requested"] == 2 * failing
    return failing


# The callback routes of every network that pushes events.
PUSH: dict[str, Row] = {
    f"POST /callbacks/{name}" + ("/{secret}" if push.has_secret_path else ""): PublicRoute(
        "the secret of the page"
    )
    for name, spec in NETWORKS.items()
    if (push := spec.push) is not None
}
ROWS: dict[str, Row] = PUSH | {
    "GET /api/v1/messages": ListRoute(Right.MESSAGES_READ, shows="message_id"),
    "GET /api/v1/messages/{message_id}": RouteCall(Right.MESSAGES_READ),
    "GET /api/v1/sources": ListRoute(Right.SOURCES_READ, shows="page_id", key="page_id"),
    "GET /api/v1/sources/call-budgets": RouteCall(Right.SOURCES_INSPECT),
    "GET /api/v1/sources/{page_id}": RouteCall(Right.SOURCES_READ),
    "GET /api/v1/sources/tokens": ListRoute(Right.SOURCES_INSPECT, shows="token_id"),
    "POST /api/v1/sources/tokens": RouteCall(
        Right.SOURCES_MANAGE, body(network="vk", kind="group", page_id=sample_id("page_id"), token="vk1.a.new")
    ),
    "POST /api/v1/sources/tokens/{token_id}/recover": RouteCall(Right.SOURCES_MANAGE, body()),
    "DELETE /api/v1/sources/tokens/{token_id}": RouteCall(Right.SOURCES_MANAGE),
    "POST /api/v1/sources/{page_id}/backfills": RouteCall(
        Right.SOURCES_MANAGE, body(since="2026-01-01T00:00:00+08:00"), names={"page_id": "other_page_id"}
    ),
    "GET /api/v1/sources/backfills": ListRoute(Right.SOURCES_READ, shows="backfill_id"),
    "GET /api/v1/sources/backfills/{backfill_id}": RouteCall(Right.SOURCES_READ),
    "POST /api/v1/sources/backfills/{backfill_id}/cancel": RouteCall(Right.SOURCES_MANAGE),
    "POST /api/v1/sources/reconciliations": RouteCall(Right.SOURCES_MANAGE, body()),
    "GET /api/v1/sources/reconciliations": ListRoute(Right.SOURCES_READ, shows="reconciliation_id"),
    "GET /api/v1/sources/reconciliations/summary": ListRoute(Right.SOURCES_READ, counts=_compared),
    "POST /api/v1/sources/{page_id}/reconciliations": RouteCall(Right.SOURCES_MANAGE, body()),
    # A list about one page: it is empty for a page that the caller may not see.
    "GET /api/v1/sources/{page_id}/reconciliations": ListRoute(
        Right.SOURCES_READ, shows="reconciliation_id", hidden=200
    ),
    "GET /api/v1/sources/{page_id}/callback": RouteCall(Right.SOURCES_READ),
    "PUT /api/v1/sources/{page_id}/callback": RouteCall(Right.SOURCES_MANAGE, body(secret="s3cret-of-the-server")),
    "DELETE /api/v1/sources/{page_id}/callback": RouteCall(Right.SOURCES_MANAGE),
    "GET /api/v1/sources/quarantine": ListRoute(Right.SOURCES_READ, shows="payload_id"),
    "GET /api/v1/sources/quarantine/{payload_id}": RouteCall(Right.SOURCES_INSPECT),
    # 409: the sample payload still cannot be parsed.
    "POST /api/v1/sources/quarantine/{payload_id}/retry": RouteCall(
        Right.SOURCES_MANAGE, answers=frozenset({409})
    ),
    "GET /api/v1/publications": ListRoute(Right.APPEALS_READ, shows="publication_id"),
    "GET /api/v1/publications/{publication_id}": RouteCall(Right.APPEALS_READ),
    "POST /api/v1/authors/{author_key}/erasure": RouteCall(
        Right.PERSONAL_DATA_ERASE, body(ground="request_of_the_person", reference="вх. 17")
    ),
    "POST /api/v1/erasures": RouteCall(
        Right.PERSONAL_DATA_ERASE,
        body(ground="other", reference="вх. 18", author_digest="0" * 64, until="2026-03-04T02:00:00+00:00"),
    ),
    "GET /api/v1/erasures": ListRoute(Right.PERSONAL_DATA_ERASE, shows="erasure_id"),
    "GET /api/v1/erasures/{erasure_id}": RouteCall(Right.PERSONAL_DATA_ERASE),
    "POST /api/v1/publications/{publication_id}/retry": RouteCall(Right.APPEALS_ANSWER),
}
