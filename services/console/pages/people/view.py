"""People who have access: the list, and one person with their sessions."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.console.choices.choices_by_name import known_organisation
from services.console.pages.people import person_access, person_locks
from services.console.site.addresses import first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep, together
from services.console.words.labels import LABELS

PATH = "/people"
router = page_router()
router.include_router(person_access.router)
router.include_router(person_locks.router)
PAGE = Page(router, (NavigationLink(Section.REGISTRY, 50, "Сотрудники", PATH, rights=frozenset({"people:read"})),))
_FILTERS = ("organisation_id", "role", "active")
_PAGE_SIZE = 30


@router.get(PATH)
async def show_people(visit: VisitDep) -> HTMLResponse:
    """Show a page of the list."""
    if not visit.may("people:read"):
        return visit.render("people/not_shown.html")
    query = {name: visit.request.query_params.get(name, "") for name in _FILTERS}
    cursor = visit.request.query_params.get("cursor")
    listed = await visit.api.get("/people", {**query, "limit": _PAGE_SIZE, "cursor": cursor})
    narrowed = await known_organisation(visit.api, query["organisation_id"])
    return visit.render(
        "people/people.html",
        people=listed["items"],
        narrowed=narrowed.written,
        query=query,
        roles=[("", "любая"), *LABELS["role"].items()],
        new=f"/people-new?{urlencode({'organisation_id': query['organisation_id']})}",
        is_filtered=any(query.values()),
        first=first_page(visit),
        after=next_page(visit, listed["next_cursor"]),
    )


@router.get(PATH + "/{person_id}")
async def show_person(visit: VisitDep, person_id: str) -> HTMLResponse:
    """Show one person."""
    if not visit.may("people:read"):
        return visit.render("people/not_shown.html")
    person, sessions = await together(
        visit.api.get(f"{PATH}/{person_id}"), visit.api.get(f"{PATH}/{person_id}/sessions", {"limit": 20})
    )
    locked_by = await _with_superiors(visit, person["locked_by_organisation_id"])
    return visit.render(
        "people/person.html",
        person=person,
        sessions=sessions["items"],
        notices=await _notices(visit, person_id),
        may_manage=visit.may("people:manage") and person["id"] != visit.me["person"]["id"],
        locker=locked_by[0] if locked_by else None,
        may_unlock=visit.me["organisation"] is None or _is_in_scope(visit, locked_by),
        may_take_over=visit.me["organisation"] is None and person["deactivated_by_organisation_id"] is not None,
    )


async def _with_superiors(visit: VisitDep, organisation_id: str | None) -> list[Mapping[str, Any]]:
    """Return the organisation that locked an account and those above it, up to the visitor's own; empty if the
    centre locked it.
    """
    found: list[Mapping[str, Any]] = []
    own = visit.me["organisation"]
    while organisation_id is not None:
        found.append(await visit.api.get(f"/organisations/{organisation_id}"))
        needs_next = own is not None and visit.me["include_subordinates"] and organisation_id != own["id"]
        organisation_id = found[-1]["parent_id"] if needs_next else None
    return found


def _is_in_scope(visit: VisitDep, organisations: list[Mapping[str, Any]]) -> bool:
    """Return whether the visitor's organisation is one of these; a lock by a higher one cannot be removed."""
    return visit.me["organisation"]["id"] in {one["id"] for one in organisations}


async def _notices(visit: VisitDep, person_id: str) -> Any:
    """Return the address for the person's notices and its ETag; None unless the visitor manages people."""
    if not visit.may("people:manage"):
        return None
    answer = await visit.api.send("GET", f"{PATH}/{person_id}/notice-address")
    return answer.data | {"etag": answer.version}
