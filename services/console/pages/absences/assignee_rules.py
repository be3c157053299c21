"""The rules that choose which employees of an organisation get its new appeals: create, change the people,
delete.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.absences.colleagues import find_colleagues
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained

router = APIRouter()
PATH = "/absences"
RULES = f"{PATH}/rules"
_NOBODY = "Выберите хотя бы одного сотрудника."
_TAKEN = "Для этой темы правило уже есть: измените его."
_WRONG_PEOPLE = "В очереди могут быть только сотрудники этой организации с доступом."
# How many people can be added in one submission.
_MORE = 3
People = Annotated[Sequence[str], Form(max_length=200)]
Entered = Annotated[str, Form(max_length=100)]


@router.get(RULES + "/new")
async def show_new_rule(visit: VisitDep) -> Response:
    """Show the form for a new rule."""
    if not _may_create(visit):
        return visit.redirect(PATH, note="Новые правила создаёт руководитель организации", kind="failed")
    return await _shown(visit, None, [], "")


@router.post(RULES + "/new")
async def create_rule(
    *,
    visit: VisitDep,
    person_id: People = (),
    topic_id: Entered = "",
    key: Entered = "",
) -> Response:
    """Create a rule for the person's organisation."""
    people = _chosen(person_id)
    if not people:
        return await _shown(visit, None, [], topic_id, _NOBODY, status=422)
    body: dict[str, Any] = {"person_ids": people} | ({"topic_id": topic_id} if topic_id else {})
    try:
        await visit.api.send("POST", "/assignee-rules", body, key=key)
    except ApiProblem as problem:
        if problem.status not in {403, 409, 422}:
            raise
        return await _shown(visit, None, people, topic_id, _reason(problem), status=problem.status)
    return visit.redirect(PATH, note="Правило создано: оно действует для новых обращений")


@router.get(RULES + "/{assignee_rule_id}")
async def show_rule(visit: VisitDep, assignee_rule_id: UUID) -> Response:
    """Show a rule and its people."""
    rule = await visit.api.get(f"/assignee-rules/{assignee_rule_id}")
    return await _shown(visit, rule, [one["id"] for one in rule["people"]], "")


@router.post(RULES + "/{assignee_rule_id}")
async def change_rule(
    *,
    visit: VisitDep,
    assignee_rule_id: UUID,
    person_id: People = (),
    version: Entered = "",
) -> Response:
    """Replace the people of a rule."""
    people, path = _chosen(person_id), f"/assignee-rules/{assignee_rule_id}"
    try:
        if not people:
            return await _shown(visit, await visit.api.get(path), [], "", _NOBODY, status=422)
        await visit.api.send("PATCH", path, {"person_ids": people}, version=version)
    except ApiProblem as problem:
        if problem.status not in {403, 409, 412, 422}:
            raise
        rule = await visit.api.get(path)
        return await _shown(visit, rule, people, "", _reason(problem), status=problem.status)
    return visit.redirect(PATH, note="Правило изменено")


@router.post(RULES + "/{assignee_rule_id}/delete")
async def delete_rule(visit: VisitDep, assignee_rule_id: UUID) -> Response:
    """Delete a rule."""
    await visit.api.send("DELETE", f"/assignee-rules/{assignee_rule_id}")
    return visit.redirect(PATH, note="Правило удалено: исполнители обращений остались прежними")


async def _shown(
    visit: Visit,
    rule: dict[str, Any] | None,
    chosen: list[str],
    topic_id: str,
    refusal: str = "",
    *,
    status: int = 200,
) -> HTMLResponse:
    topics: list[dict[str, Any]] = []
    if rule is None:
        colleagues, groups, topics = await together(
            find_colleagues(visit),
            visit.api.get_all("/topics", {"level": "group"}),
            visit.api.get_all("/topics", {"level": "topic"}),
        )
        topics = [{**one, "name": f"{one['name']}: все темы"} for one in groups] + topics
    else:
        colleagues = await find_colleagues(visit)
        known = dict(colleagues)
        colleagues += [(one["id"], one["name"]) for one in rule["people"] if one["id"] not in known]
    return visit.render(
        "absences/rule.html",
        status=status,
        rule=rule, chosen=chosen, places=len(chosen) + _MORE, colleagues=colleagues, topic_id=topic_id,
        topics=[(one["id"], _topic(one)) for one in topics],
        refusal=refusal,
    )  # fmt: skip


def _topic(topic: dict[str, Any]) -> str:
    return f"{topic['group']['name']}: {topic['name']}" if topic["group"] else str(topic["name"])


def _may_create(visit: Visit) -> bool:
    return visit.may("assignees:manage") and visit.me["organisation"] is not None


def _chosen(people: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(one for one in people if one))


def _reason(problem: ApiProblem) -> str:
    if problem.slug == "duplicate":
        return _TAKEN
    return _WRONG_PEOPLE if any("person_ids" in pointer for pointer in problem.fields) else explained(problem)
