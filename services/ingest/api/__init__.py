"""The routes of ingest: parse, authorise, call one domain function, answer."""

from services.ingest.api import (
    backfills,
    callbacks,
    directory,
    messages,
    publications,
    reconciliations,
    set_aside,
    sources,
    tokens,
)

ROUTERS = [
    messages.router,
    tokens.router,
    backfills.router,
    reconciliations.router,
    callbacks.router,
    set_aside.router,
    sources.router,  # last: /sources/{page_id} would take what is not named before it
    publications.router,
]
ROOT = [publications.internal, directory.internal, callbacks.door]
