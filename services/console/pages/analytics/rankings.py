"""Organisations ranked among their peers."""

from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.analytics.selection import (
    PATH,
    Selection,
    appeals_address,
    filter_choices,
    period_name,
    refused,
)
from services.console.site.downloads import download
from services.console.site.page import page_router
from services.console.site.visit import VisitDep

router = page_router()
_SHOWN = 20
MEASURES = {"on_time": "отвечено в срок", "answered": "отвечено, в срок или позже"}


@router.get(PATH + "/rankings")
async def show_rankings(visit: VisitDep) -> HTMLResponse:
    """Show the peer groups, each with its ranks."""
    selection = _selection(visit)
    choices = await filter_choices(visit, selection)
    rankings: dict[str, Any] | None = None
    refusal = None
    try:
        rankings = await visit.api.get("/metrics/rankings", _parameters(selection))
    except ApiProblem as problem:
        refusal = refused(problem)
    return visit.render(
        "analytics/rankings.html",
        status=422 if refusal else 200,
        selection=selection,
        choices=choices,
        measures=MEASURES,
        measure=selection.query["measure"],
        refusal=refusal,
        period=period_name(rankings["from"], rankings["to"]) if rankings else "",
        groups=[_group(group, selection) for group in _chosen(rankings, selection)] if rankings else [],
    )


@router.get(PATH + "/rankings.csv")
async def download_rankings(visit: VisitDep) -> Response:
    """Return the ranks as CSV from the API."""
    return await download(visit, "/metrics/rankings.csv", "rankings.csv", _parameters(_selection(visit)))


def _selection(visit: VisitDep) -> Selection:
    selection = Selection.of(visit)
    if selection.query.get("measure") not in MEASURES:
        selection.query["measure"] = "on_time"
    selection.query.pop("organisation", None)  # a rank needs peers
    return selection


def _parameters(selection: Selection) -> dict[str, str]:
    return selection.parameters("measure", without=("organisation",))


def _chosen(rankings: dict[str, Any], selection: Selection) -> list[dict[str, Any]]:
    """Return the group that the address names, or all groups."""
    groups: list[dict[str, Any]] = rankings["groups"]
    return [group for group in groups if group["code"] == selection.query.get("group")] or groups


def _group(group: dict[str, Any], selection: Selection) -> dict[str, Any]:
    figure = selection.query["measure"]  # a measure is a share; its numerator is the figure of the same name
    is_alone = selection.query.get("group") == group["code"]
    shown = group["organisations"] if is_alone else group["organisations"][:_SHOWN]
    organisations = [
        {
            **row,
            "successes_address": appeals_address(row["appeals"], figure),
            "overdue_address": appeals_address(row["appeals"], "overdue"),
            "narrowed": selection.with_(PATH, organisation=row["organisation_id"], rows="week"),
        }
        for row in shown
    ]
    left = len(group["organisations"]) - len(shown)
    return {**group, "organisations": organisations, "left": left, "address": selection.with_(group=group["code"])}
