"""The list of appeals that a figure of the analytics counts."""

from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.analytics.selection import (
    FIGURES,
    PATH,
    Selection,
    filter_choices,
    period_name,
    refused,
)
from services.console.site.downloads import download
from services.console.site.page import page_router
from services.console.site.visit import VisitDep, together

router = page_router()
_PAGE_SIZE = 50


@router.get(PATH + "/appeals")
async def show_appeals(visit: VisitDep) -> HTMLResponse:
    """Show the appeals that a figure counts, newest first."""
    selection = Selection.of(visit)
    cursor = visit.request.query_params.get("cursor")
    parameters = selection.parameters("figure")
    choices = await filter_choices(visit, selection)
    listed: dict[str, Any] = {"items": [], "next_cursor": None}
    table = refusal = None
    try:
        # The table gives the number, and the names of the organisations.
        listed, table = await together(
            visit.api.get("/metrics/appeals", {**parameters, "limit": str(_PAGE_SIZE), "cursor": cursor}),
            visit.api.get("/metrics/table", {**selection.parameters(), "rows": "organisation"}),
        )
    except ApiProblem as problem:
        refusal = refused(problem)
    address = f"{PATH}/appeals?{urlencode(parameters)}"
    return visit.render(
        "analytics/appeals.html",
        status=422 if refusal else 200,
        refusal=refusal,
        title=FIGURES[selection.query["figure"]],
        number=None if table is None else table["total"][selection.query["figure"]],
        period="" if table is None else period_name(table["from"], table["to"]),
        filters=list(choices["set"].values()),
        appeals=listed["items"],
        organisations={} if table is None else {row["key"]: row["name"] for row in table["rows"]},
        export=f"{PATH}/appeals.csv?{urlencode(parameters)}",
        table_address=selection.tab(PATH),
        first=address if cursor else None,
        after=f"{address}&{urlencode({'cursor': listed['next_cursor']})}" if listed["next_cursor"] else None,
    )


@router.get(PATH + "/appeals.csv")
async def download_appeals(visit: VisitDep) -> Response:
    """Return the appeals that a figure counts, as CSV from the API."""
    parameters = Selection.of(visit).parameters("figure")
    return await download(visit, "/metrics/appeals.csv", f"appeals-{parameters['figure']}.csv", parameters)
