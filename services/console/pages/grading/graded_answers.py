"""Graded answers, objections to their grades, and decisions on the objections."""

from typing import Any
from urllib.parse import urlencode

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.grading.rubric import PATH, asked_criteria, chosen_scores
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained

router = page_router()
OBJECTION_STATUS = {"open": "ждёт решения", "upheld": "удовлетворено", "rejected": "отклонено"}
_PAGE_SIZE = 50
_BESIDE_THE_FORM = frozenset({403, 409, 412, 422})


@router.get(PATH + "/items")
async def show_items(visit: VisitDep) -> HTMLResponse:
    """Show the graded answers of a period, newest first."""
    asked = visit.request.query_params
    query = {name: asked[name] for name in ("from", "to", "organisation_id") if asked.get(name)}
    period = query if "from" in query else {**query, "from": "2020-01-01"}
    listed = await visit.api.get(
        "/grading/items", {**period, "limit": str(_PAGE_SIZE), "cursor": asked.get("cursor")}
    )
    return visit.render(
        "grading/items.html",
        items=listed["items"],
        query=query,
        statuses=OBJECTION_STATUS,
        first=f"{PATH}/items?{urlencode(query)}" if asked.get("cursor") else None,
        after=_after(query, listed["next_cursor"]),
    )


def _after(query: dict[str, str], cursor: str | None) -> str | None:
    return f"{PATH}/items?{urlencode({**query, 'cursor': cursor})}" if cursor else None


@router.get(PATH + "/objections")
async def show_objections(visit: VisitDep, cursor: str | None = None) -> HTMLResponse:
    """Show the objections that await a decision, oldest first."""
    listed = await visit.api.get("/grading/objections", {"limit": str(_PAGE_SIZE), "cursor": cursor})
    after = f"{PATH}/objections?{urlencode({'cursor': listed['next_cursor']})}" if listed["next_cursor"] else None
    first = f"{PATH}/objections" if cursor else None
    return visit.render("grading/objections.html", objections=listed["items"], first=first, after=after)


@router.get(PATH + "/items/{graded_item_id}")
async def show_item(visit: VisitDep, graded_item_id: str) -> HTMLResponse:
    """Show a graded answer with its grades and its objection."""
    return await _item(visit, graded_item_id)


async def _item(visit: Visit, item_id: str, **entered: Any) -> HTMLResponse:
    found, rubrics = await together(visit.api.get(f"/grading/items/{item_id}"), visit.api.get("/grading/rubrics"))
    item = found["item"]
    return visit.render(
        "grading/item.html",
        **{"refusal": None, "ground": "", "reason": "", "scores": {}, "status": 200} | entered,
        found=found,
        item=item,
        criteria=asked_criteria(list(item["scores"]), item["rubric_version"], rubrics["items"]),
        statuses=OBJECTION_STATUS,
    )


@router.post(PATH + "/items/{graded_item_id}/objection")
async def object_to_grades(
    visit: VisitDep, graded_item_id: str, ground: str = Form(""), key: str = Form()
) -> Response:
    """Object to the grades of an answer."""
    try:
        await visit.api.send("POST", f"/grading/items/{graded_item_id}/objections", {"ground": ground}, key=key)
    except ApiProblem as problem:
        if problem.status not in _BESIDE_THE_FORM:
            raise
        refusal = "Напишите, почему оценка неверна." if problem.status == 422 else explained(problem)
        return await _item(visit, graded_item_id, status=problem.status, refusal=refusal, ground=ground)
    return visit.redirect(f"{PATH}/items/{graded_item_id}", note="Возражение отправлено в центр")


@router.post(PATH + "/items/{graded_item_id}/decision")
async def decide_objection(visit: VisitDep, request: Request, graded_item_id: str) -> Response:
    """Decide an objection: uphold it with other scores, or reject it."""
    form = await request.form()
    scores, reason = chosen_scores(form), str(form.get("reason", ""))
    upholds = form.get("decision") == "uphold"
    objection, version = str(form.get("objection", "")), str(form.get("version", ""))
    body: dict[str, Any] = {"reason": reason} | ({"scores": scores} if upholds else {})
    path = f"/grading/objections/{objection}/{'uphold' if upholds else 'reject'}"
    try:
        await visit.api.send("POST", path, body, version=version, key=str(form.get("key", "")))
    except ApiProblem as problem:
        if problem.status not in _BESIDE_THE_FORM:
            raise
        return await _item(
            visit,
            graded_item_id,
            status=problem.status,
            refusal=_decision_refusal(problem),
            reason=reason,
            scores=scores,
        )
    note = "Возражение удовлетворено, баллы изменены" if upholds else "Возражение отклонено, баллы прежние"
    return visit.redirect(f"{PATH}/objections", note=note)


def _decision_refusal(problem: ApiProblem) -> str:
    if problem.status == 403:
        return "Решить должен тот, кто этот ответ не оценивал, не писал и не согласовывал."
    if problem.status == 422:
        return "Напишите причину; чтобы удовлетворить возражение, поставьте балл по каждому критерию."
    return explained(problem)
