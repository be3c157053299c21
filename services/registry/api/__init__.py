"""Routes of the registry: parse the request, authorise the caller, call one function of a capability."""

from services.registry.api import (
    audit,
    auth,
    calendars,
    clients,
    cookie_sessions,
    coverage,
    import_export,
    internal_identity,
    me,
    organisations,
    page_checks,
    pages,
    people,
    sessions,
)

routers = (
    auth.router,
    cookie_sessions.router,
    me.router,
    import_export.router,  # before organisations: /organisations/{organisation_id} would match its paths
    organisations.search_router,  # likewise
    organisations.router,
    organisations.municipalities_router,
    organisations.names_router,
    organisations.successions_router,
    page_checks.router,
    pages.steps_router,  # before pages: /pages/{page_id} would match its paths
    pages.router,
    calendars.router,
    coverage.router,
    people.router,
    sessions.router,
    sessions.my_sessions_router,
    clients.router,
    audit.router,
)
root_routers = (auth.well_known_router, internal_identity.internal_router)
