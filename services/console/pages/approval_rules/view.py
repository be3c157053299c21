"""Approval rules: which replies need the approval of a second person."""

from typing import Any
from uuid import UUID

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_organisation, chosen_topic
from services.console.choices.topic_names import load_topics
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.forms import refusal_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together

PATH = "/approval-rules"
router = page_router()
PAGE = Page(
    router, (NavigationLink(Section.SYSTEM, 14, "Правила согласования", PATH, rights=frozenset({"rules:manage"})),)
)
_SAME = "Такое правило уже есть."
_ORGANISATION_AND_KIND = "Укажите либо организацию, либо вид организации, но не то и другое."


@router.get(PATH)
async def show_rules(visit: VisitDep) -> HTMLResponse:
    """Show the rules and the form for a new rule."""
    return await _rules(visit)


@router.post(PATH)
async def add_rule(visit: VisitDep) -> Response:
    """Add a rule."""
    form = await visit.request.form()
    organisation, topics = await together(chosen_organisation(visit.api, form, "organisation"), load_topics(visit))
    topic = chosen_topic(topics, form)
    names = ("urgency", "organisation_kind")
    entered = {name: str(form.get(name, "")) for name in names}
    if organisation.error or topic.error:
        return await _rules(visit, entered, organisation, topic, status=422)
    body: dict[str, Any] = {name: value or None for name, value in entered.items()}
    body |= {"organisation_id": organisation.id, "topic_id": topic.id}
    if organisation.id and entered["organisation_kind"]:
        return await _rules(visit, entered, organisation, topic, refusal=_ORGANISATION_AND_KIND, status=422)
    try:
        await visit.api.send("POST", PATH, body, key=str(form.get("key", "")))
    except ApiProblem as problem:
        refusal = _SAME if problem.slug == "duplicate" else refusal_of(problem)
        return await _rules(visit, entered, organisation, topic, refusal=refusal, status=problem.status)
    return visit.redirect(PATH, note="Правило согласования добавлено")


@router.post(f"{PATH}/{{rule_id}}/removal")
async def remove_rule(visit: VisitDep, rule_id: UUID) -> Response:
    """Remove a rule."""
    await visit.api.send("DELETE", f"{PATH}/{rule_id}")
    return visit.redirect(PATH, note="Правило согласования убрано")


async def _rules(
    visit: Visit,
    entered: dict[str, str] | None = None,
    organisation: Choice | None = None,
    topic: Choice | None = None,
    *,
    refusal: str = "",
    status: int = 200,
) -> HTMLResponse:
    listed = await visit.api.get(PATH, {"limit": 50, **asked(visit, "cursor")})
    return visit.render(
        "approval_rules/approval_rules.html",
        status=status,
        rules=listed["items"],
        topic=topic or Choice("topic"),
        entered=entered or {},
        organisation=organisation or Choice("organisation"),
        refusal=refusal,
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )
