"""Webhooks: other systems that are notified of events."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.webhook_endpoints import endpoint_deliveries, endpoint_page
from services.console.pages.webhook_endpoints.endpoint_form import (
    EndpointFields,
    endpoint_refusal,
    read_fields,
    selectable_types,
)
from services.console.pages.webhook_endpoints.event_words import event_groups, event_words
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

PATH = "/webhooks"
router = page_router()
PAGE = Page(
    router, (NavigationLink(Section.SYSTEM, 40, "Вебхуки", PATH, rights=frozenset({"webhooks:read"}), key="h"),)
)


@router.get(PATH)
async def show_endpoints(visit: VisitDep) -> HTMLResponse:
    """Show the endpoints that the person may see."""
    listed = await visit.api.get("/webhooks/endpoints", {"limit": 50, **asked(visit, "cursor")})
    return visit.render(
        "webhook_endpoints/endpoints.html",
        endpoints=listed["items"],
        event_words=event_words,
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.get(f"{PATH}/new")
async def show_new_endpoint(visit: VisitDep) -> HTMLResponse:
    """Show the form for a new endpoint."""
    return await _form(visit, EndpointFields())


@router.post(f"{PATH}/new")
async def create_endpoint(visit: VisitDep) -> Response:
    """Create an endpoint and show its secret. A redirect would put the secret into an address or a cookie."""
    form = await visit.request.form()
    fields = read_fields(form)
    if fields.errors:
        return await _form(visit, fields, status=422)
    try:
        answer = await visit.api.send("POST", "/webhooks/endpoints", fields.body(), key=str(form.get("key", "")))
    except ApiProblem as problem:
        return await _form(visit, endpoint_refusal(problem, fields), status=problem.status)
    return visit.render("webhook_endpoints/secret.html", endpoint=answer.data, is_new=True)


async def _form(visit: Visit, fields: EndpointFields, *, status: int = 200) -> HTMLResponse:
    types: Sequence[str] = await selectable_types(visit) if visit.may("webhooks:manage") else []
    values: Mapping[str, Any] = {"fields": fields, "groups": event_groups(types)}
    return visit.render("webhook_endpoints/new.html", status=status, **values)


for part in (endpoint_deliveries, endpoint_page):
    router.include_router(part.router)
