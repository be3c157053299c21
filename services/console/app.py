"""Build the console: its pages, its static files, and its error pages."""

from functools import partial

from fastapi import FastAPI

from services.console import pages
from services.console.site import error_pages, static_files
from services.console.site.body_rules import BODY_LIMIT, BodyRules
from services.console.site.browser_rules import BrowserRules
from services.console.site.page import find_pages
from services.console.site.site import Site, session_exists
from shared.service import Routes, Service


def _install(app: FastAPI) -> None:
    error_pages.install(app)
    app.add_middleware(error_pages.ProblemPages)
    app.add_middleware(BrowserRules)


def build_service() -> Service:
    """Return a new service with all pages."""
    found = find_pages(pages)
    body_limits = {path: limit for page in found for path, limit in page.body_limits.items()}
    site = Site([link for page in found for link in page.links])
    service = Service(
        "console",
        "Gospablik: console",
        routes=lambda: Routes(
            root=[*(page.router for page in found), static_files.router],
            body_limits=body_limits,
            install=_install,
        ),
        api_parts=[site],
        with_relay=False,
        body_limit=BODY_LIMIT,
        before_bodies=partial(BodyRules, limits=body_limits, session_exists=session_exists),
    )
    site.connect(service)
    return service
