"""Overdue appeals: their number by organisation and municipality, largest first."""

from typing import Any
from urllib.parse import urlencode

from fastapi.responses import Response

from services.console.choices.appeal_list_query import ListQuery
from services.console.choices.municipality_names import (
    Municipalities,
    counted_municipalities,
    find_municipalities,
    load_municipalities,
)
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together

PATH = "/overdue"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 12, "Просрочки", PATH, rights=frozenset({"appeals:read"}), key="e"),),
)
_OVERDUE = ListQuery.parsed("overdue=true&sort=due")


@router.get(PATH)
async def show_overdue(visit: VisitDep, district: str = "", municipality: str = "") -> Response:
    """Show the numbers of the region or of one municipality; `district` is its name as typed."""
    typed = district.strip()
    if not typed:
        return await _show(visit, municipality)
    rows = await load_municipalities(visit)
    found = find_municipalities(rows, typed)
    if len(found) == 1:
        return visit.redirect(_address(found[0]["oktmo"]))
    return await _show(visit, municipality, rows, typed=typed, found=found)


async def _show(
    visit: Visit,
    municipality: str,
    rows: Municipalities | None = None,
    *,
    typed: str = "",
    found: Municipalities | None = None,
) -> Response:
    query = _OVERDUE.with_filter("municipality", municipality) if municipality else _OVERDUE
    if rows is None:
        facets, rows = await together(_facets(visit, query), load_municipalities(visit))
    else:
        facets = await _facets(visit, query)
    chosen = next((one["name"] for one in rows if one["oktmo"] == municipality), None)
    return visit.render(
        "overdue/overdue.html",
        status=200 if found is None else 422,
        facets=facets,
        municipality=municipality,
        chosen=chosen,
        typed=typed or chosen or "",
        found=None if found is None else [(one["name"], _address(one["oktmo"])) for one in found],
        districts=counted_municipalities(rows, facets["municipality"]),
        municipalities=[(one, _address(one["value"]["oktmo"])) for one in facets["municipality"]],
        organisations=[
            (one, query.with_filter("organisation_id", one["value"]["id"]).address)
            for one in facets["organisation"]
        ],
        rows=query.address,
        everywhere=PATH if municipality else None,
    )


async def _facets(visit: Visit, query: ListQuery) -> Any:
    return await visit.api.get("/appeals/facets", query.filter_parameters())


def _address(oktmo: str) -> str:
    return f"{PATH}?{urlencode({'municipality': oktmo})}"
