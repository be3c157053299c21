"""Analytics: figures of appeals by one or two dimensions. The address has the whole state; every number is a
link.
"""

from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.analytics.appeal_figures import router as appeals_router
from services.console.pages.analytics.appeal_tables import TableView
from services.console.pages.analytics.district_map import router as map_router
from services.console.pages.analytics.rankings import router as rankings_router
from services.console.pages.analytics.selection import (
    DIMENSIONS,
    FIGURES,
    PATH,
    Selection,
    filter_choices,
    refused,
)
from services.console.site.downloads import download
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep

router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.REPORTS, 30, "Аналитика", PATH, rights=frozenset({"metrics:read"}), key="x"),),
)
for part in (appeals_router, rankings_router, map_router):
    router.include_router(part)


@router.get(PATH)
async def show_table(visit: VisitDep) -> HTMLResponse:
    """Show the table that the address describes."""
    selection = Selection.of(visit)
    choices = await filter_choices(visit, selection)
    table: dict[str, Any] | None = None
    refusal = None
    try:
        table = await visit.api.get("/metrics/table", selection.parameters("rows", "columns"))
    except ApiProblem as problem:
        refusal = refused(problem)
    return visit.render(
        "analytics/table_page.html",
        status=422 if refusal else 200,
        selection=selection,
        choices=choices,
        dimensions=DIMENSIONS,
        figures=FIGURES,
        refusal=refusal,
        table=None if table is None else TableView(table, selection),
    )


@router.get(PATH + "/table.csv")
async def download_table(visit: VisitDep) -> Response:
    """Return the table as CSV from the API."""
    parameters = Selection.of(visit).parameters("rows", "columns")
    return await download(visit, "/metrics/table.csv", "appeals-table.csv", parameters)
