"""How messages are collected: pages and their sources, tokens, limits, backfills, reconciliations."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.pages.sources import source_jobs, source_page, source_tokens
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

PATH = "/sources"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.SYSTEM, 20, "Сбор сообщений", PATH, rights=frozenset({"sources:read"}), key="c"),),
)
_BAD_STATES = frozenset({"failing", "no_token"})
# Pages with problems are sought in the whole list; more than this many are not read for one page of ours.
_MOST_SOUGHT = 5_000


@router.get(PATH)
async def show_sources(visit: VisitDep) -> HTMLResponse:
    """Show which pages are read, and how well."""
    if visit.request.query_params.get("state") == "bad":
        found = [page async for page in pages_with_problems(visit)]
        listed: dict[str, Any] = {"items": found}
    else:
        listed = await visit.api.get(
            "/sources", {"limit": 50, **asked(visit, "network", "cursor", "organisation_id")}
        )
    return visit.render(
        "sources/sources.html",
        tab="pages",
        pages=listed["items"],
        query=visit.request.query_params,
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


async def pages_with_problems(visit: Visit) -> AsyncIterator[dict[str, Any]]:
    """Return the pages that are not read; the list of the API has no filter for them."""
    cursor, read = None, 0
    while True:
        listed = await visit.api.get("/sources", {"limit": 200, "cursor": cursor, **asked(visit, "network")})
        for page in listed["items"]:
            if page["state"] in _BAD_STATES:
                yield page
        cursor, read = listed["next_cursor"], read + len(listed["items"])
        if cursor is None or read >= _MOST_SOUGHT:
            return


# `source_page` has a route with an id in the place of the others' names.
for part in (source_tokens, source_jobs, source_page):
    router.include_router(part.router)
