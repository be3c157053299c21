"""The steps by which a page becomes official and live: each is confirmed with evidence, or marked as lost."""

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import entered, refusal_of, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.labels import LABELS

router = page_router()
_WRONG = {
    "reached_on": "День не может быть в будущем.",
    "lost_on": "День не может быть в будущем или раньше, чем шаг был пройден.",
    "reason": "Напишите, что случилось.",
    "evidence": "До 2000 знаков.",
}
_NOT_VERIFIED = "Сначала подтвердите шаг «подтверждена соцсетью»: без него страница не считается официальной."


def may_confirm(visit: Visit, page: Mapping[str, Any]) -> bool:
    """Return whether the console offers to confirm steps of this page; the API also checks subordinate
    organisations.
    """
    own = visit.me["organisation"]
    return visit.may("pages:confirm") and (
        own is None or own["id"] == page["organisation_id"] or visit.me["include_subordinates"]
    )


@router.get("/pages/{page_id}/steps/{step}")
async def show_step(visit: VisitDep, page_id: str, step: str) -> HTMLResponse:
    """Show the forms for a step."""
    return await _form(visit, page_id, step, {})


@router.post("/pages/{page_id}/steps/{step}")
async def confirm_step(visit: VisitDep, page_id: str, step: str) -> Response:
    """Confirm a step, or correct its day and evidence."""
    form = await entered(visit.request)
    body: dict[str, Any] = {name: form.get(name) or None for name in ("reached_on", "evidence")}
    body["evidence_kind"] = form.get("evidence_kind") or "manual"
    try:
        await visit.api.send("PUT", f"/pages/{page_id}/steps/{_known(step)}", body)
    except ApiProblem as problem:
        return await _form(visit, page_id, step, form, problem)
    return visit.redirect(f"/pages/{page_id}", note="Шаг подтверждён")


@router.post("/pages/{page_id}/steps/{step}/lost")
async def lose_step(visit: VisitDep, page_id: str, step: str) -> Response:
    """Mark a step as lost, with the reason."""
    form = await entered(visit.request)
    reason = {name: form.get(name, "") for name in ("reason", "lost_on")}
    try:
        await visit.api.send("DELETE", f"/pages/{page_id}/steps/{_known(step)}", parameters=reason)
    except ApiProblem as problem:
        return await _form(visit, page_id, step, form, problem)
    return visit.redirect(f"/pages/{page_id}", note="Записано, что шаг утрачен")


def _known(step: str) -> str:
    if step not in LABELS["page_step"]:
        raise HTTPException(404)
    return step


async def _form(
    visit: Visit, page_id: str, step: str, form: Mapping[str, str], problem: ApiProblem | None = None
) -> HTMLResponse:
    page = await visit.api.get(f"/pages/{page_id}")
    refusal = "" if problem is None else refusal_of(problem)
    if problem is not None and problem.status == 409:
        refusal = _NOT_VERIFIED
    return visit.render(
        "official_pages/step.html",
        status=problem.status if problem else 200,
        page=page,
        step=_known(step),
        reached=page["steps"].get(step),
        values=form,
        kinds=[(key, text) for key, text in LABELS["evidence_kind"].items() if key != "network"],
        refusal=refusal,
        wrong=wrong_fields(problem, _WRONG) if problem else {},
    )
