"""Grading answers: the grader's next answer, without its organisation, and the rubric as a form."""

from typing import Any

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.grading.graded_answers import router as answers_router
from services.console.pages.grading.grading_figures import router as figures_router
from services.console.pages.grading.rubric import PATH, asked_criteria, chosen_scores
from services.console.site.downloads import photo
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.formats import counted
from services.console.words.refusals import explained

router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.REPORTS, 70, "Оценка ответов", PATH, rights=frozenset({"metrics:read"})),),
)
for part in (answers_router, figures_router):
    router.include_router(part)
_TAKEN_AT_ONCE = 10


@router.get(PATH)
async def show_next(visit: VisitDep) -> Response:
    """Show the next answer to grade; people who do not grade are redirected to the graded answers."""
    if not visit.may("answers:grade"):
        return visit.redirect(f"{PATH}/items")
    return await _next_answer(visit)


async def _next_answer(visit: Visit, item_id: str | None = None, **entered: Any) -> HTMLResponse:
    taken, samples = await together(
        visit.api.get("/grading/assignments"), visit.api.get("/grading/samples", {"limit": "8"})
    )
    items = taken["items"]
    shown = next((item for item in items if item["item_id"] == item_id), items[0] if items else None)
    return visit.render(
        "grading/next.html",
        **{"refusal": None, "scores": {}, "comment": "", "missing": set(), "status": 200} | entered,
        item=shown,
        criteria=asked_criteria(shown["criteria"], shown["rubric_version"], taken["rubrics"]) if shown else [],
        left=len(items),
        samples=samples["items"],
    )


@router.get(PATH + "/photos/{attachment_id}")
async def show_photo(visit: VisitDep, attachment_id: str) -> Response:
    """Return a photo of an answer from the API."""
    return await photo(visit, f"/attachments/{attachment_id}")


@router.post(PATH + "/take")
async def take_answers(visit: VisitDep, key: str = Form()) -> Response:
    """Assign the next answers to the grader."""
    try:
        answer = await visit.api.send("POST", "/grading/assignments", {"count": _TAKEN_AT_ONCE}, key=key)
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return visit.redirect(PATH, note="Сначала оцените ответы, которые уже взяли", kind="failed")
    number = len(answer.data["item_ids"])
    if not number:
        return visit.redirect(PATH, note="Неоценённых ответов сейчас нет", kind="failed")
    return visit.redirect(PATH, note=f"Взято: {counted(number, 'ответ', 'ответа', 'ответов')}")


@router.post(PATH + "/samples")
async def draw_sample(visit: VisitDep, week: str = Form(""), key: str = Form()) -> Response:
    """Draw the sample of a week that has no sample yet."""
    try:
        answer = await visit.api.send("POST", "/grading/samples", {"week": week.strip()}, key=key)
    except ApiProblem as problem:
        if problem.status not in {409, 422}:
            raise
        return await _next_answer(
            visit,
            status=problem.status,
            refusal="Выборку собирают не раньше чем через сутки после конца недели. Проверьте неделю.",
        )
    items = counted(answer.data["items"], "ответ", "ответа", "ответов")
    return visit.redirect(PATH, note=f"Выборка собрана: {items}")


@router.post(PATH + "/answers/{item_id}")
async def grade_answer(visit: VisitDep, request: Request, item_id: str) -> Response:
    """Store the scores of an answer; they cannot be changed later."""
    form = await request.form()
    scores = chosen_scores(form)
    comment, key = str(form.get("comment", "")).strip(), str(form.get("key", ""))
    try:
        body = {"scores": scores, "comment": comment or None}
        await visit.api.send("POST", f"/grading/items/{item_id}/grades", body, key=key)
    except ApiProblem as problem:
        if problem.status == 422:
            missing = {pointer.rpartition("/")[2] for pointer in problem.fields}
            refusal = "Поставьте балл по каждому критерию."
            return await _next_answer(
                visit, item_id, status=422, refusal=refusal, scores=scores, comment=comment, missing=missing
            )
        if problem.status != 409:
            raise
        return visit.redirect(PATH, note=f"Оценка не сохранена. {explained(problem)}", kind="failed")
    return visit.redirect(PATH, note="Оценка сохранена")
