"""Suggestions while a person types: `<option>` elements for the `<datalist>` of a field."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.choices.organisation_choice import search_organisations
from services.console.choices.topic_names import load_topics
from services.console.site.page import Page, page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()
PAGE = Page(router)
Typed = Annotated[str, Query(max_length=300)]

Name = Annotated[str, Query(max_length=100)]
_MOST_TOPICS = 20


def _typed(visit: Visit, field: str) -> str:
    return visit.request.query_params.get(field, "").strip()


def _options(visit: Visit, options: list[tuple[str, str]]) -> HTMLResponse:
    return visit.fragment("suggest/options.html", options=options)


@router.get("/suggest/appeals")
async def suggest_searches(visit: VisitDep, q: Typed = "") -> HTMLResponse:
    """Suggest names of locations and topics."""
    if not q.strip() or not visit.may("appeals:read"):
        return _options(visit, [])
    try:
        found = await visit.api.get("/appeals/suggestions", {"q": q.strip()[:200]})
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return _options(visit, [])
    return _options(visit, [(one["name"], one["municipality"] or "") for one in found["items"]])


@router.get("/suggest/organisations")
async def suggest_organisations(visit: VisitDep, field: Name = "organisation") -> HTMLResponse:
    """Suggest organisations for what was typed into the form field `field`."""
    found = await search_organisations(visit.api, _typed(visit, field))
    return _options(
        visit, [(one["name"], one["matched_name"] if one["matched_name"] != one["name"] else "") for one in found]
    )


@router.get("/suggest/topics")
async def suggest_topics(visit: VisitDep, field: Name = "topic") -> HTMLResponse:
    """Suggest topics and topic groups for what was typed into the form field `field`."""
    typed = _typed(visit, field)
    found = (await load_topics(visit)).found(typed)[:_MOST_TOPICS] if len(typed) > 1 else []
    return _options(visit, [(name, "") for name in dict.fromkeys(one["name"] for one in found)])


@router.get("/suggest/tags")
async def suggest_tags(visit: VisitDep, tag: Typed = "") -> HTMLResponse:
    """Suggest tags that are already in use."""
    if not visit.may("appeals:read"):
        return _options(visit, [])
    try:
        found = await visit.api.get("/tags", {"prefix": tag.strip()[:40], "limit": 10})
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return _options(visit, [])
    return _options(visit, [(one["tag"], "") for one in found["items"]])
