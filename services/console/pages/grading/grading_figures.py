"""Figures of graded answers: quality by criterion, agreement of graders, and hints compared with grades."""

from datetime import timedelta

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.pages.grading.rubric import PATH
from services.console.site.charts import part_of
from services.console.site.page import page_router
from services.console.site.visit import VisitDep, together
from services.console.words.refusals import explained
from shared import clock

router = page_router()
AXES = {"promptness": "оперативность", "objectivity": "объективность", "completeness": "полнота"}
HINTS = {
    "off_topic": "не о том",
    "when_unanswered": "не сказано когда",
    "why_unanswered": "не сказано почему",
    "where_unanswered": "не сказано где",
    "no_action_or_date": "нет действия и даты",
    "no_date": "нет даты",
    "no_contact": "нет контакта",
    "no_responsible_person": "нет ответственного",
    "no_greeting": "нет приветствия",
    "impolite": "невежливо",
    "informal_address": "обращение на «ты»",
    "shouting": "прописные буквы, восклицания",
    "officialese": "канцелярит",
    "verbal_nouns": "отглагольные существительные",
    "participles": "причастные обороты",
    "long_sentence": "длинное предложение",
    "hard_to_read": "трудно читать",
    "canned_phrase": "шаблонная фраза",
    "same_as_recent": "как недавний ответ",
    "redirect_without_contact": "отсылка без контакта",
}
_WEEKS = 12


@router.get(PATH + "/figures")
async def show_figures(visit: VisitDep) -> HTMLResponse:
    """Show the quality of a period's answers, and how far graders agree with each other and with the hints."""
    asked = visit.request.query_params
    period = {
        "from": asked.get("from") or (clock.today() - timedelta(weeks=_WEEKS)).isoformat(),
        "to": asked.get("to") or clock.today().isoformat(),
    }
    refusal = quality = agreement = hints = None
    try:
        quality, agreement, hints = await together(
            visit.api.get("/metrics/quality", period),
            visit.api.get("/grading/agreement", period),
            visit.api.get("/grading/hints", period),
        )
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        reversed_ = {"query/from", "query/to"} & set(problem.fields)
        refusal = "Проверьте период: начало не может быть позже конца." if reversed_ else explained(problem)
    return visit.render(
        "grading/figures.html",
        status=422 if refusal else 200,
        refusal=refusal,
        period=period,
        quality=quality,
        agreement=agreement,
        hints=hints["hints"] if hints else [],
        hint_names=HINTS,
        axes=AXES,
        part_of=part_of,
    )
