"""Collection of messages: pages and their sources, tokens, limits, backfills, reconciliations."""

from typing import Any

from fastapi.responses import HTMLResponse

from services.console.choices.page_names import pages_with_problems
from services.console.pages.sources import source_jobs, source_page, source_tokens
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep

PATH = "/sources"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.SYSTEM, 20, "Сбор сообщений", PATH, rights=frozenset({"sources:read"}), key="r"),),
)


@router.get(PATH)
async def show_sources(visit: VisitDep) -> HTMLResponse:
    """Show all pages with the state of their collection."""
    if visit.request.query_params.get("state") == "bad":
        found = [page async for page in pages_with_problems(visit, asked(visit, "network")["network"])]
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


# `source_page` comes last: its route with an id would also match the fixed paths of the others.
for part in (source_tokens, source_jobs, source_page):
    router.include_router(part.router)
