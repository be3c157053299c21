"""Routes of ingest. Each parses the request, checks the caller's rights and calls one domain function."""

from services.ingest.api import (
    backfills,
    callbacks,
    erasures,
    messages,
    page_lookup,
    publications,
    quarantine,
    reconciliations,
    sources,
    tokens,
)

ROUTERS = [
    messages.router,
    erasures.router,
    tokens.router,
    backfills.router,
    reconciliations.router,
    callbacks.router,
    quarantine.router,
    sources.router,  # after these: /sources/{page_id} would match paths of the routers above
    publications.router,
]
ROOT_ROUTERS = [publications.internal, page_lookup.internal, callbacks.push_router]
