"""Activate a rule set, after showing what it changes."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.rules.rule_differences import differences
from services.console.pages.rules.rule_refusals import set_faults
from services.console.pages.rules.rule_set_state import RuleSetState, load_state
from services.console.pages.rules.rule_trials import dry_run
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained

router = APIRouter()


@router.get("/rules/{rule_set_id}/activation")
async def ask_to_activate(visit: VisitDep, rule_set_id: UUID) -> HTMLResponse:
    """Show what the set changes, and ask for confirmation."""
    return await _question(visit, await load_state(visit, rule_set_id))


@router.post("/rules/{rule_set_id}/activation")
async def activate(visit: VisitDep, rule_set_id: UUID) -> Response:
    """Activate the set, if the active set is still the one that the person saw."""
    form = await visit.request.form()
    body: dict[str, Any] = {"expected_active_id": str(form.get("expected", "")), "reroute": "reroute" in form}
    try:
        answer = await visit.api.send(
            "POST", f"/rule-sets/{rule_set_id}/activation", body, version=str(form.get("version", ""))
        )
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        return await _question(visit, await load_state(visit, rule_set_id), problem)
    moved = " Нетронутые обращения распределяются заново." if body["reroute"] else ""
    return visit.redirect("/rules", note=f"Действует набор № {answer.data['number']}.{moved}")


async def _question(visit: Visit, state: RuleSetState, problem: ApiProblem | None = None) -> HTMLResponse:
    rule_set_id = UUID(state.rule_set["id"])
    changes, recent, untouched = await together(
        visit.api.get(f"/rule-sets/{rule_set_id}/changes"),
        dry_run(visit, rule_set_id, days=30),
        dry_run(visit, rule_set_id, days=None),
    )
    refusal = ""
    if problem is not None:
        refusal = explained(problem)
        if "active_id" in problem.document:
            refusal = "Пока вы смотрели, коллега включил другой набор. Сравните с ним ещё раз."
    return visit.render(
        "rules/activation.html",
        status=problem.status if problem else 200,
        tab="activation",
        differences=differences(changes, state.words),
        recent=recent,
        untouched=untouched,
        refusal=refusal,
        faults=set_faults(problem, state.rule_set["rules"], state.words) if problem else [],
        **state.shown(),
    )
