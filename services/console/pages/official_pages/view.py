"""Official pages: the list, and one page with its steps, its collection and its checks."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.pages.official_pages import page_changes, page_connection, page_steps, page_tokens
from services.console.registry_forms.tokens import collection_of
from services.console.site.addresses import first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.labels import LABELS
from services.console.words.right_labels import holders
from shared.auth.rights import Right

PATH = "/pages"
router = page_router()
for part in (page_connection, page_changes, page_steps, page_tokens):
    router.include_router(part.router)
PAGE = Page(
    router,
    (NavigationLink(Section.REGISTRY, 20, "Страницы", PATH, rights=frozenset({"registry:read"}), key="v"),),
)
_FILTERS = ("q", "network", "missing_step", "active", "organisation_id")
_ADDRESS = re.compile(r"[/@]|^(club|public)\d+$|\.(com|ru)\b")
_PAGE_SIZE = 30
_STEPS = tuple(LABELS["page_step"].items())


@router.get(PATH)
async def show_pages(visit: VisitDep) -> HTMLResponse:
    """Show a page of the list; if an address is given, only the official page at that address."""
    query = {name: visit.request.query_params.get(name, "") for name in _FILTERS}
    cursor = visit.request.query_params.get("cursor")
    listed = await _listed(visit, query, cursor)
    return visit.render(
        "official_pages/pages.html",
        pages=listed["items"],
        query=query,
        networks=[("", "любая"), *LABELS["network"].items()],
        steps=[("", "неважно"), *_STEPS],
        is_filtered=any(query.values()),
        connected_by=holders(Right.REGISTRY_WRITE),
        first=first_page(visit),
        after=next_page(visit, listed["next_cursor"]),
    )


async def _listed(visit: Visit, query: Mapping[str, str], cursor: str | None) -> Any:
    words = query["q"]
    is_address = bool(_ADDRESS.search(words))
    asked = {**query, "q": "" if is_address else words, "address": words if is_address else ""}
    try:
        return await visit.api.get("/pages", {**asked, "limit": _PAGE_SIZE, "cursor": cursor})
    except ApiProblem as problem:
        if "query/address" not in problem.fields:
            raise
        return {"items": [], "next_cursor": None}


@router.get(PATH + "/{page_id}")
async def show_page(visit: VisitDep, page_id: str) -> HTMLResponse:
    """Show one official page."""
    page, steps, checks, collection = await together(
        visit.api.get(f"{PATH}/{page_id}"),
        visit.api.get(f"{PATH}/{page_id}/steps", {"limit": 100}),
        visit.api.get(f"{PATH}/{page_id}/checks", {"limit": 7}),
        collection_of(visit, page_id),
    )
    return visit.render(
        "official_pages/page.html",
        page=page,
        steps=_STEPS,
        reached={one["step"]: one for one in steps["items"] if one["lost_on"] is None},
        lost=[one for one in steps["items"] if one["lost_on"] is not None],
        checks=checks["items"],
        collection=collection,
        may_confirm=page_steps.may_confirm(visit, page),
    )


@router.get(PATH + "/{page_id}/collection")
async def show_collection(visit: VisitDep, page_id: str) -> HTMLResponse:
    """Return the state of the page's collection: a fragment that is refreshed until the first poll has ended."""
    page, collection = await together(visit.api.get(f"{PATH}/{page_id}"), collection_of(visit, page_id))
    return visit.fragment("official_pages/collection.html", page=page, collection=collection)
