"""Reply templates: the centre's, for everybody, and those of an organisation."""

from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem, Parameters
from services.console.choices.choices_by_name import Choice, chosen_topic, known_choice
from services.console.choices.topic_names import load_topics
from services.console.site.addresses import first_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained

PATH = "/templates"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 70, "Шаблоны ответов", PATH, rights=frozenset({"appeals:answer"})),),
)
FIELDS = (
    ("имя", "как обратиться к гражданину; вписывает автор ответа"),
    ("номер", "номер обращения"),
    ("организация", "название организации, которая отвечает"),
    ("тема", "тема обращения"),
    ("срок", "дата, к которой нужен итоговый ответ"),
)
_WRONG = {
    "text": "В тексте есть поле, которого система не знает, или скобка без пары. Поля перечислены ниже.",
    "name": "Введите название: одна строка, до 300 знаков.",
    "topic_id": "Такой темы нет: выберите другую.",
    "organisation_id": "Эта организация вам не видна.",
}
_SHOWN = frozenset({409, 412, 422})
_EMPTY: dict[str, str] = {"name": "", "text": "", "kind": "final", "organisation_id": ""}


@router.get(PATH)
async def list_templates(visit: VisitDep, topic_id: str = "", cursor: str = "") -> HTMLResponse:
    """Show a page of templates, newest first."""
    listed, groups = await together(
        visit.api.get("/reply-templates", {"topic_id": topic_id, "cursor": cursor}),
        _everything(visit, "/topics", {"level": "group"}),
    )
    query = {"topic_id": topic_id} if topic_id else {}
    after = listed["next_cursor"]
    return visit.render(
        "reply_templates/list.html",
        templates=listed["items"],
        groups=groups,
        topic_id=topic_id,
        first=first_page(visit),
        after=f"{PATH}?{urlencode(query | {'cursor': after})}" if after else None,
    )


@router.get(PATH + "/new")
async def show_new(visit: VisitDep) -> HTMLResponse:
    """Show the empty form."""
    return await _form(visit, None, _EMPTY, Choice("topic"))


@router.post(PATH + "/new")
async def create(request: Request, visit: VisitDep) -> Response:
    """Create a template: moderators create the centre's, staff their organisation's."""
    form = await _entered(request)
    topic = chosen_topic(await load_topics(visit), form)
    if topic.error:
        return await _form(visit, None, form, topic)
    organisation = visit.me["organisation"]
    body = _body(form, topic) | {"organisation_id": organisation["id"] if organisation else None}
    try:
        await visit.api.send("POST", "/reply-templates", body, key=form["key"] or None)
    except ApiProblem as problem:
        if problem.status not in _SHOWN:
            raise
        return await _form(visit, None, form, topic, problem=problem)
    return visit.redirect(PATH, note="Шаблон добавлен")


@router.get(PATH + "/{template_id}")
async def show_template(visit: VisitDep, template_id: str) -> HTMLResponse:
    """Show a template, as a form for people who may change it."""
    template = await visit.api.get(f"/reply-templates/{template_id}")
    return await _form(visit, template, _of(template), known_choice("topic", template["topic"]))


@router.post(PATH + "/{template_id}")
async def change(request: Request, visit: VisitDep, template_id: str) -> Response:
    """Replace or delete the version of the template that was shown."""
    form = await _entered(request)
    path, version = f"/reply-templates/{template_id}", form["version"]
    template, topics = await together(visit.api.get(path), load_topics(visit))
    topic = chosen_topic(topics, form, known=template["topic"])
    if topic.error and form["do"] != "delete":
        return await _form(visit, template, form, topic)
    try:
        if form["do"] == "delete":
            await visit.api.send("DELETE", path, version=version)
            return visit.redirect(PATH, note="Шаблон удалён")
        body = _body(form, topic) | {"organisation_id": form["organisation_id"] or None}
        await visit.api.send("PUT", path, body, version=version)
    except ApiProblem as problem:
        if problem.status not in _SHOWN:
            raise
        return await _form(visit, await visit.api.get(path), form, topic, problem=problem)
    return visit.redirect(PATH, note="Шаблон сохранён")


async def _entered(request: Request) -> dict[str, str]:
    form = await request.form()
    names = (*_EMPTY, "topic", "topic_id", "version", "key", "do")
    return {name: str(form.get(name, "")).replace("\r\n", "\n") for name in names}


def _body(form: dict[str, str], topic: Choice) -> dict[str, Any]:
    return {
        "name": form["name"].strip(),
        "text": form["text"],
        "kind": "interim" if form["kind"] == "interim" else "final",
        "topic_id": topic.id,
    }


def _of(template: dict[str, Any]) -> dict[str, str]:
    organisation = template["organisation"]
    return {name: template[name] for name in ("name", "text", "kind")} | {
        "organisation_id": organisation["id"] if organisation else "",
    }


async def _form(
    visit: Visit,
    template: dict[str, Any] | None,
    form: dict[str, str],
    topic: Choice,
    *,
    problem: ApiProblem | None = None,
) -> HTMLResponse:
    names = {pointer.lstrip("/").split("/")[0] for pointer in problem.fields} if problem is not None else set()
    if "topic_id" in names:
        topic.error = _WRONG["topic_id"]
    return visit.render(
        "reply_templates/form.html",
        status=problem.status if problem is not None else 422 if topic.error else 200,
        stored=template,
        form=form,
        topic=topic,
        fields=FIELDS,
        errors=defaultdict(str, {name: _WRONG.get(name, "Проверьте это поле.") for name in names}),
        refusal=explained(problem) if problem is not None else "",
        changed=template if problem is not None and problem.status == 412 else None,
        may_change=template is None or visit.me["organisation"] is None or template["organisation"] is not None,
    )


async def _everything(visit: Visit, path: str, parameters: Parameters) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await visit.api.get(path, {**parameters, "limit": 200, "cursor": cursor})
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return found
