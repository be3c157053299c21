"""SLA policies: the time limits of replies, by kind of appeal. A change creates a new version."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_topic, topic_choice
from services.console.choices.topic_names import load_topics
from services.console.pages.sla_policies.policy_form import (
    NEW_POLICY,
    entered_values,
    policy_body,
    policy_faults,
    policy_values,
)
from services.console.pages.sla_policies.policy_words import PolicyWords
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.forms import refusal_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from shared import clock

PATH = "/sla-policies"
router = page_router()
PAGE = Page(
    router, (NavigationLink(Section.SYSTEM, 12, "Нормативы", PATH, rights=frozenset({"rules:manage"}), key="d"),)
)
_UNCOVERED = "Так нельзя: часть обращений осталась бы без норматива. Сначала добавьте норматив для всех обращений."


@router.get(PATH)
async def show_policies(visit: VisitDep) -> HTMLResponse:
    """Show the policies in effect, or all versions."""
    every = visit.request.query_params.get("versions") == "all"
    moment = None if every else clock.now().isoformat()
    listed, words = await together(
        visit.api.get("/sla-policies", {"limit": 50, "in_effect_at": moment, **asked(visit, "cursor")}),
        _words(visit),
    )
    return visit.render(
        "sla_policies/policies.html",
        policies=listed["items"],
        words=words,
        every=every,
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.get(f"{PATH}/new")
async def show_new_policy(visit: VisitDep) -> HTMLResponse:
    """Show the form for a new policy."""
    return await _form(visit, NEW_POLICY)


@router.post(f"{PATH}/new")
async def add_policy(visit: VisitDep) -> Response:
    """Add a policy."""
    form = await visit.request.form()
    values, topic = await _entered(visit, form)
    body, faults = policy_body(values, topic)
    if faults:
        return await _form(visit, values, topic, faults=faults, status=422)
    try:
        answer = await visit.api.send("POST", PATH, body, key=str(form.get("key", "")))
    except ApiProblem as problem:
        return await _form(
            visit, values, topic, faults=policy_faults(problem), refusal=refusal_of(problem), status=problem.status
        )
    return visit.redirect(f"{PATH}/{answer.data['policy_key']}", note="Норматив добавлен")


@router.get(f"{PATH}/{{policy_key}}")
async def show_policy(visit: VisitDep, policy_key: UUID) -> HTMLResponse:
    """Show a policy with its versions."""
    return await _policy(visit, policy_key)


@router.post(f"{PATH}/{{policy_key}}")
async def change_policy(visit: VisitDep, policy_key: UUID) -> Response:
    """Add a new version of the policy."""
    form = await visit.request.form()
    values, topic = await _entered(visit, form)
    body, faults = policy_body(values, topic)
    if faults:
        return await _policy(visit, policy_key, values, topic, faults=faults, status=422)
    try:
        await visit.api.send("PUT", f"{PATH}/{policy_key}", body, version=str(form.get("version", "")))
    except ApiProblem as problem:
        refusal = _UNCOVERED if "urgency" in problem.document else refusal_of(problem)
        return await _policy(
            visit, policy_key, values, topic, faults=policy_faults(problem), refusal=refusal, status=problem.status
        )
    return visit.redirect(f"{PATH}/{policy_key}", note="Новая версия норматива записана")


@router.post(f"{PATH}/{{policy_key}}/end")
async def end_policy(visit: VisitDep, policy_key: UUID) -> Response:
    """End the policy, effective now."""
    form = await visit.request.form()
    try:
        await visit.api.send("DELETE", f"{PATH}/{policy_key}", version=str(form.get("version", "")))
    except ApiProblem as problem:
        note = _UNCOVERED if "urgency" in problem.document else refusal_of(problem)
        return visit.redirect(f"{PATH}/{policy_key}", note=note, kind="failed")
    return visit.redirect(f"{PATH}/{policy_key}", note="Норматив больше не действует")


async def _entered(visit: Visit, form: Mapping[str, Any]) -> tuple[dict[str, str], Choice]:
    values = entered_values(form)
    return values, chosen_topic(await load_topics(visit), values)


async def _words(visit: Visit) -> PolicyWords:
    return PolicyWords(await load_topics(visit))


async def _form(
    visit: Visit,
    values: Mapping[str, str],
    topic: Choice | None = None,
    *,
    faults: Mapping[str, str] | None = None,
    refusal: str = "",
    status: int = 200,
) -> HTMLResponse:
    return visit.render(
        "sla_policies/new.html",
        status=status,
        values=values,
        topic=topic or Choice("topic"),
        faults=faults or {},
        refusal=refusal,
        today=clock.today().isoformat(),
    )


async def _policy(
    visit: Visit,
    policy_key: UUID,
    values: dict[str, str] | None = None,
    topic: Choice | None = None,
    *,
    faults: Mapping[str, str] | None = None,
    refusal: str = "",
    status: int = 200,
) -> HTMLResponse:
    answer, versions, words = await together(
        visit.api.send("GET", f"{PATH}/{policy_key}"),
        visit.api.get(PATH, {"policy_key": str(policy_key), "limit": 50, **asked(visit, "cursor")}),
        _words(visit),
    )
    policy: dict[str, Any] = answer.data
    return visit.render(
        "sla_policies/policy.html",
        status=status,
        policy=policy,
        versions=versions["items"],
        words=words,
        values=values or policy_values(policy),
        topic=topic or topic_choice(words.topics, policy["topic_id"]),
        version=answer.version,
        faults=faults or {},
        refusal=refusal,
        today=clock.today().isoformat(),
        before=first_page(visit),
        after=next_page(visit, versions.get("next_cursor")),
    )
