"""Network tokens with their states, and the remaining calls. A token's value is never shown."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.page_names import page_id_at, page_names
from services.console.registry_forms.tokens import NEEDS_PERSON
from services.console.site.forms import refusal_of
from services.console.site.visit import Visit, VisitDep

_NO_PAGE = "Такой страницы в реестре нет. Сначала добавьте её."
_OTHERWISE = "Соцсеть не приняла ответ на проверку: посмотрите, что введено, и повторите."
_SHOWN = 40
_SECRETS = ("token", "application_key", "application_secret_key", "session_secret_key")
router = APIRouter()


@router.get("/sources/tokens")
async def show_tokens(visit: VisitDep) -> HTMLResponse:
    """Show the tokens that do not work, the working ones for all pages, and the form for a new one."""
    return await _tokens(visit)


@router.post("/sources/tokens")
async def add_token(visit: VisitDep) -> Response:
    """Add a token. Its value is not shown again, even if the API refused it."""
    form = {name: str(value).strip() for name, value in (await visit.request.form()).items()}
    body: dict[str, Any] = {name: form[name] for name in ("network", "kind", *_SECRETS) if form.get(name)}
    entered = {name: value for name, value in form.items() if name not in _SECRETS}
    if form.get("page"):
        page_id = await page_id_at(visit, form["page"])
        if page_id is None:
            return await _tokens(visit, entered, page_error=_NO_PAGE)
        body["page_id"] = page_id
    try:
        await visit.api.send("POST", "/sources/tokens", body)
    except ApiProblem as problem:
        refusal = refusal_of(problem)
        return await _tokens(visit, entered, refusal=f"{refusal} Ключ введите заново.", status=problem.status)
    return visit.redirect("/sources/tokens", note="Ключ добавлен. Прочитать его снова нельзя")


@router.post("/sources/tokens/{token_id}/recovery")
async def recover_token(visit: VisitDep, token_id: UUID) -> Response:
    """Use a token again, after a person completed the check that the network required."""
    form = await visit.request.form()
    body = {name: str(form[name]).strip() for name in ("captcha_key", "success_token") if form.get(name)}
    try:
        await visit.api.send("POST", f"/sources/tokens/{token_id}/recover", body)
    except ApiProblem as problem:
        refusal = _OTHERWISE if problem.status == 422 else refusal_of(problem)
        return await _tokens(visit, refusal=refusal, status=problem.status)
    return visit.redirect("/sources/tokens", note="Ключ снова в работе")


@router.post("/sources/tokens/{token_id}/removal")
async def remove_token(visit: VisitDep, token_id: UUID) -> Response:
    """Delete a token."""
    await visit.api.send("DELETE", f"/sources/tokens/{token_id}")
    return visit.redirect("/sources/tokens", note="Ключ удалён")


@router.get("/sources/limits")
async def show_limits(visit: VisitDep) -> HTMLResponse:
    """Show how many network calls are left today."""
    budgets = []
    if visit.may("sources:inspect"):
        budgets = (await visit.api.get("/sources/call-budgets"))["items"]
    return visit.render("sources/limits.html", tab="limits", budgets=budgets)


async def _tokens(
    visit: Visit,
    entered: Mapping[str, str] | None = None,
    *,
    refusal: str = "",
    page_error: str = "",
    status: int = 200,
) -> HTMLResponse:
    tokens = (await visit.api.get("/sources/tokens"))["items"] if visit.may("sources:inspect") else []
    not_working = [one for one in tokens if one["state"] != "healthy"]
    common = [one for one in tokens if one["state"] == "healthy" and one["page_id"] is None]
    shown = [*not_working[:_SHOWN], *common]
    names = await page_names(visit, {one["page_id"] for one in shown if one["page_id"]})
    return visit.render(
        "sources/tokens.html",
        status=422 if page_error else status,
        tab="tokens",
        tokens=shown,
        waiting_count=sum(one["state"] in NEEDS_PERSON for one in tokens),
        page_token_count=sum(one["page_id"] is not None for one in tokens),
        names=names,
        entered=entered or {},
        refusal=refusal,
        page_error=page_error,
    )
