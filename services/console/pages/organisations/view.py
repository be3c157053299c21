"""Organisations of the region: the list, and one organisation."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import Parameters
from services.console.choices.organisation_choice import search_organisations
from services.console.pages.organisations import organisation_changes, organisation_history
from services.console.pages.organisations.organisation_form import KINDS
from services.console.site.addresses import first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together

PATH = "/organisations"
router = page_router()
router.include_router(organisation_changes.router)
router.include_router(organisation_history.router)
PAGE = Page(
    router,
    (NavigationLink(Section.REGISTRY, 10, "Организации", PATH, rights=frozenset({"registry:read"}), key="o"),),
)
_FILTERS = ("q", "kind", "municipality", "active", "parent_id")
_PAGE_SIZE = 30
_SUBORDINATES = 20


@router.get(PATH)
async def show_organisations(visit: VisitDep) -> HTMLResponse:
    """Show a page of the list."""
    query = {name: visit.request.query_params.get(name, "") for name in _FILTERS}
    cursor = visit.request.query_params.get("cursor")
    listed, municipalities = await together(
        visit.api.get("/organisations", {**query, "limit": _PAGE_SIZE, "cursor": cursor}),
        visit.api.get("/municipalities", {"limit": 100}),
    )
    parent = await visit.api.get(f"{PATH}/{query['parent_id']}") if query["parent_id"] else None
    similar = [] if listed["items"] or cursor else await search_organisations(visit.api, query["q"])
    return visit.render(
        "organisations/organisations.html",
        organisations=listed["items"],
        query=query,
        kinds=[("", "любой"), *KINDS],
        municipalities=[("", "все"), *((one["oktmo"], one["name"]) for one in municipalities["items"])],
        municipality_names={one["oktmo"]: one["name"] for one in municipalities["items"]},
        parent=parent,
        similar=similar,
        is_filtered=any(query.values()),
        first=first_page(visit),
        after=next_page(visit, listed["next_cursor"]),
    )


@router.get(PATH + "/{organisation_id}")
async def show_organisation(visit: VisitDep, organisation_id: str) -> HTMLResponse:
    """Show one organisation."""
    return await organisation_page(visit, organisation_id)


async def organisation_page(visit: Visit, organisation_id: str) -> HTMLResponse:
    """Return the page of an organisation."""
    own = f"{PATH}/{organisation_id}"
    below: Parameters = {"parent_id": organisation_id, "limit": _SUBORDINATES}
    organisation, pages, names, successions, subordinates, municipalities = await together(
        visit.api.get(own),
        visit.api.get("/pages", {"organisation_id": organisation_id, "limit": 100}),
        visit.api.get(f"{own}/names", {"limit": 100}),
        visit.api.get(f"{own}/successions", {"limit": 100}),
        visit.api.get("/organisations", below),
        visit.api.get("/municipalities", {"limit": 100}),
    )
    parent, calendar = await together(_parent(visit, organisation), _calendar(visit, organisation))
    people = f"/people?{urlencode({'organisation_id': organisation_id})}"
    return visit.render(
        "organisations/organisation.html",
        organisation=organisation,
        pages=pages["items"],
        names=names["items"],
        predecessors=[one for one in successions["items"] if one["successor"]["id"] == organisation_id],
        successors=[one for one in successions["items"] if one["predecessor"]["id"] == organisation_id],
        subordinates=subordinates,
        municipality=_named(municipalities["items"], organisation["municipality"]),
        parent=parent,
        calendar=calendar,
        people=people,
        spheres=", ".join(filter(None, [organisation["sphere"], *organisation["other_spheres"]])),
    )


async def _parent(visit: Visit, organisation: Mapping[str, Any]) -> Any:
    parent_id = organisation["parent_id"]
    return await visit.api.get(f"{PATH}/{parent_id}") if parent_id else None


async def _calendar(visit: Visit, organisation: Mapping[str, Any]) -> Any:
    calendar_id = organisation["calendar_id"]
    return await visit.api.get(f"/calendars/{calendar_id}") if calendar_id else None


def _named(municipalities: list[dict[str, str]], oktmo: str | None) -> str | None:
    return next((one["name"] for one in municipalities if one["oktmo"] == oktmo), None)
