"""Figures by municipality: a table with bars and, if the installation has borders, a map."""

from typing import Any

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.pages.analytics.map_drawing import draw
from services.console.pages.analytics.selection import (
    FIGURES,
    PATH,
    Selection,
    appeals_address,
    filter_choices,
    period_name,
    refused,
)
from services.console.site.charts import part_of
from services.console.site.page import page_router
from services.console.site.visit import VisitDep

router = page_router()


@router.get(PATH + "/map")
async def show_map(visit: VisitDep) -> HTMLResponse:
    """Show a figure by the municipality in which the problem is."""
    selection = Selection.of(visit)
    selection.query.pop("location", None)  # a filter by location would leave one municipality
    choices = await filter_choices(visit, selection)
    figure = selection.query["figure"]
    found: dict[str, Any] | None = None
    refusal = None
    try:
        found = await visit.api.get("/metrics/map", selection.parameters(without=("location",)))
    except ApiProblem as problem:
        refusal = refused(problem)
    features = found["features"] if found else []
    return visit.render(
        "analytics/map.html",
        status=422 if refusal else 200,
        selection=selection,
        choices=choices,
        figures=FIGURES,
        figure=figure,
        refusal=refusal,
        period=period_name(found["from"], found["to"]) if found else "",
        drawing=draw(features, figure),
        rows=_rows(selection, features, found["elsewhere"] if found else None),
        has_population=any(feature["properties"]["population"] for feature in features),
    )


def _rows(
    selection: Selection, features: list[dict[str, Any]], elsewhere: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the municipalities with their organisations, largest figure first; the row without a location is
    last.
    """
    figure = selection.query["figure"]
    rows = sorted((feature["properties"] for feature in features), key=lambda row: -row[figure])
    if elsewhere is not None and elsewhere[figure]:
        rows.append({**elsewhere, "name": "место не указано", "population": None, "opened_per_1000": None})
    most = max((row[figure] for row in rows), default=0)
    return [
        {
            **row,
            "name": row["name"] or "муниципалитет, которого больше нет в реестре",
            "length": part_of(row[figure], most),
            "organisations": selection.with_(PATH, rows="organisation", columns=None, location=oktmo)
            if (oktmo := row.get("oktmo"))
            else None,
            "address": appeals_address(row["appeals"], figure),
        }
        for row in rows
    ]
