"""API clients: other systems that use the API. A secret is shown only once, in the response that issued it."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.clients import client_changes
from services.console.pages.clients.client_changes import PATH
from services.console.site.addresses import first_page, next_page
from services.console.site.forms import entered, refusal_of, whole_number
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()
router.include_router(client_changes.router)
PAGE = Page(router, (NavigationLink(Section.SYSTEM, 35, "Клиенты API", PATH, rights=frozenset({"clients:read"})),))
_PAGE_SIZE = 30
_TOO_MANY = "Больше действующих секретов у клиента быть не может. Сначала отзовите один."
# The API issues a new secret for every request, even for a repeated one.
_ISSUED = "Секрет уже выдали, пока страница была открыта. Если нужен ещё один, выдайте его снова."


@router.get(PATH)
async def show_clients(visit: VisitDep) -> HTMLResponse:
    """Show a page of the list of clients."""
    if not visit.may("clients:read"):
        return visit.render("clients/not_shown.html")
    query = {"active": visit.request.query_params.get("active", "true")}
    cursor = visit.request.query_params.get("cursor")
    listed = await visit.api.get("/clients", {**query, "limit": _PAGE_SIZE, "cursor": cursor})
    return visit.render(
        "clients/clients.html",
        clients=listed["items"],
        query=query,
        first=first_page(visit),
        after=next_page(visit, listed["next_cursor"]),
    )


@router.get(PATH + "/{client_id}")
async def show_client(visit: VisitDep, client_id: str) -> HTMLResponse:
    """Show a client and the age of its secrets; the secrets themselves are not stored."""
    if not visit.may("clients:read"):
        return visit.render("clients/not_shown.html")
    return _client_page(visit, await visit.api.get(f"{PATH}/{client_id}"))


@router.post(PATH + "/{client_id}/secrets")
async def issue_secret(visit: VisitDep, client_id: str) -> Response:
    """Issue another secret and show it; earlier secrets stay valid for the entered hours (default 24)."""
    form = await entered(visit.request)
    client = await visit.api.get(f"{PATH}/{client_id}")
    if form.get("newest", "") != newest_secret(client):
        return _client_page(visit, client, _ISSUED, status=409)
    hours = whole_number(form.get("overlap_hours", ""))
    body = {"overlap_hours": 24 if hours is None else hours}
    try:
        made = await visit.api.send("POST", f"{PATH}/{client_id}/secrets", body)
    except ApiProblem as problem:
        refusal = _TOO_MANY if problem.status == 409 else refusal_of(problem)
        return _client_page(visit, client, refusal, status=problem.status)
    return visit.render("clients/secret.html", client=made.data, is_new=False)


@router.post(PATH + "/{client_id}/secrets/{secret_id}/revoke")
async def revoke_secret(visit: VisitDep, client_id: str, secret_id: str) -> Response:
    """Revoke one secret at once; a secret that has ended meanwhile is not an error."""
    try:
        await visit.api.send("DELETE", f"{PATH}/{client_id}/secrets/{secret_id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
    return visit.redirect(f"{PATH}/{client_id}", note="Секрет отозван")


@router.post(PATH + "/{client_id}/deactivate")
async def deactivate_client(visit: VisitDep, client_id: str) -> Response:
    """Deactivate the client permanently."""
    await visit.api.send("DELETE", f"{PATH}/{client_id}")
    return visit.redirect(PATH, note="Клиент отключён: его секреты больше не действуют")


def newest_secret(client: Mapping[str, Any]) -> str:
    """Return the id of the secret that was issued last; empty if there is none."""
    return str(client["secrets"][0]["id"]) if client["secrets"] else ""


def _client_page(visit: Visit, client: Mapping[str, Any], refusal: str = "", *, status: int = 200) -> HTMLResponse:
    return visit.render(
        "clients/client.html",
        status=status,
        client=client,
        newest_secret=newest_secret,
        refusal=refusal,
        may_manage=visit.may("clients:manage") and client["active"],
    )
