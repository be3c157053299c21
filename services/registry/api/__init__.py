"""Routes of the registry: parse, authorise, call one domain function, answer."""

from services.registry.api import auth, calendars, clients, me, organisations, pages, people

routers = (
    auth.router,
    me.router,
    organisations.router,
    organisations.municipalities,
    pages.router,
    calendars.router,
    people.router,
    clients.router,
)
root = (auth.well_known,)
