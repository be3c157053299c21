"""The routes of ingest: parse, authorise, call one domain function, answer."""

from services.ingest.api import (
    backfills,
    callbacks,
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
    tokens.router,
    backfills.router,
    reconciliations.router,
    callbacks.router,
    quarantine.router,
    sources.router,  # last: /sources/{page_id} would take what is not named before it
    publications.router,
]
ROOT_ROUTERS = [publications.internal, page_lookup.internal, callbacks.push_router]
