"""Routes of the registry: parse, authorise, call one domain function, answer."""

from services.registry.api import (
    audit,
    auth,
    calendars,
    clients,
    coverage,
    import_export,
    internal_identity,
    me,
    names,
    organisations,
    page_checks,
    page_steps,
    pages,
    people,
    searching,
    sessions,
    successions,
)

routers = (
    auth.router,
    me.router,
    import_export.router,  # before organisations, whose /organisations/{organisation_id} would take its paths
    searching.router,  # likewise
    organisations.router,
    organisations.municipalities,
    names.router,
    successions.router,
    page_checks.router,
    page_steps.router,  # before pages: /pages/{page_id} would take what is not named before it
    pages.router,
    calendars.router,
    coverage.router,
    people.router,
    sessions.router,
    sessions.own,
    clients.router,
    audit.router,
)
root = (auth.well_known, internal_identity.internal)
