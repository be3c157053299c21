"""Routes of the registry: parse, authorise, call one domain function, answer."""

from services.registry.api import auth, calendars, clients, coverage, me, organisations, page_steps, pages, people

routers = (
    auth.router,
    me.router,
    organisations.router,
    organisations.municipalities,
    page_steps.router,  # before pages: /pages/{page_id} would take what is not named before it
    pages.router,
    calendars.router,
    coverage.router,
    people.router,
    clients.router,
)
root = (auth.well_known,)
