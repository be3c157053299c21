"""Backfills and reconciliations of all pages."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.page_names import page_names
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.forms import is_day, refusal_of, start_of_day
from services.console.site.return_addresses import local_path
from services.console.site.visit import VisitDep, together

_WRONG_DAY = "Выберите день."
router = APIRouter()


@router.get("/sources/backfills")
async def show_backfills(visit: VisitDep) -> HTMLResponse:
    """Show the requested backfills with their progress."""
    listed = await visit.api.get("/sources/backfills", {"limit": 30, **asked(visit, "status", "cursor")})
    return visit.render(
        "sources/backfills.html",
        tab="backfills",
        backfills=listed["items"],
        chosen=visit.request.query_params.get("status", ""),
        names=await page_names(visit, {one["page_id"] for one in listed["items"]}),
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.post("/sources/backfills/{backfill_id}/cancellation")
async def cancel_backfill(visit: VisitDep, backfill_id: UUID) -> Response:
    """Cancel a backfill; messages already read are kept."""
    back = local_path(str((await visit.request.form()).get("back", "")), "/sources/backfills")
    try:
        await visit.api.send("POST", f"/sources/backfills/{backfill_id}/cancel")
    except ApiProblem as problem:
        return visit.redirect(back, note=refusal_of(problem), kind="failed")
    return visit.redirect(back, note="Догрузка отменена. Прочитанное осталось")


@router.get("/sources/reconciliations")
async def show_reconciliations(visit: VisitDep) -> HTMLResponse:
    """Show the reconciliations with the networks, and their totals."""
    only_gaps = visit.request.query_params.get("gaps") == "yes"
    parameters = {"limit": 30, "with_gaps": only_gaps, **asked(visit, "network", "cursor")}
    listed, summary = await together(
        visit.api.get("/sources/reconciliations", parameters),
        visit.api.get("/sources/reconciliations/summary", asked(visit, "network")),
    )
    return visit.render(
        "sources/reconciliations.html",
        tab="reconciliations",
        reconciliations=listed["items"],
        summary=summary,
        only_gaps=only_gaps,
        names=await page_names(visit, {one["page_id"] for one in listed["items"]}),
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.post("/sources/reconciliations")
async def reconcile_all(visit: VisitDep) -> Response:
    """Start a reconciliation of all pages."""
    form = await visit.request.form()
    body: dict[str, Any] = {"network": str(form.get("network", "")) or None}
    if form.get("since"):
        if not is_day(str(form["since"])):
            return visit.redirect("/sources/reconciliations", note=_WRONG_DAY, kind="failed")
        body["since"] = start_of_day(str(form["since"]))
    try:
        answer = await visit.api.send("POST", "/sources/reconciliations", body, key=str(form.get("key", "")))
    except ApiProblem as problem:
        return visit.redirect("/sources/reconciliations", note=refusal_of(problem), kind="failed")
    return visit.redirect("/sources/reconciliations", note=f"Сверка начата, страниц: {answer.data['page_count']}")
