"""Change a page in the registry: its name, its organisation, the day from which messages are collected."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import Answer, ApiProblem
from services.console.choices.choices_by_name import Choice, changed_choice, chosen_organisation, known_choice
from services.console.site.forms import changed_meanwhile, entered, refusal_of, start_of_day, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.formats import parsed

router = page_router()
_WRONG = {
    "name": "Введите название: до 500 знаков.",
    "screen_name": "Короткое имя: латинские буквы, цифры, точка, дефис.",
    "url": "Адрес начинается с https://.",
    "go_live_at": "Введите день.",
    "organisation_id": "Выберите организацию.",
}


@router.get("/pages/{page_id}/edit")
async def show_page_form(visit: VisitDep, page_id: str) -> HTMLResponse:
    """Show the form with the page's fields."""
    answer = await visit.api.send("GET", f"/pages/{page_id}")
    organisation = known_choice("organisation", answer.data["organisation"])
    return _form(visit, answer.data, _values(answer), organisation)


@router.post("/pages/{page_id}/edit")
async def change_page(visit: VisitDep, page_id: str) -> Response:
    """Change the page, unless somebody has changed it since the form was shown."""
    form = await entered(visit.request)
    page = await visit.api.get(f"/pages/{page_id}")
    organisation = await chosen_organisation(
        visit.api, form, "organisation", known=page["organisation"], required=True
    )
    if organisation.error:
        return _form(visit, page, form, organisation)
    body = {
        "name": form.get("name", ""),
        "screen_name": form.get("screen_name") or None,
        "url": form.get("url", ""),
        "organisation_id": organisation.id,
        "active": form.get("active") == "yes",
    }
    if form.get("go_live_on") != parsed(page["go_live_at"]).date().isoformat():
        body["go_live_at"] = start_of_day(form.get("go_live_on", "")) or ""
    try:
        await visit.api.send("PATCH", f"/pages/{page_id}", body, version=form.get("version"))
    except ApiProblem as problem:
        if problem.status == 412:
            answer = await visit.api.send("GET", f"/pages/{page_id}")
            current, now = _values(answer), known_choice("organisation", answer.data["organisation"])
            wrong = changed_meanwhile(current, form, chosen=("active",))
            wrong["organisation_id"] = changed_choice(now, organisation)
            again = form | {"version": current["version"]}
            return _form(visit, page, again, organisation, problem, wrong=wrong)
        return _form(visit, page, form, organisation, problem, wrong=wrong_fields(problem, _WRONG))
    return visit.redirect(f"/pages/{page_id}", note="Изменения сохранены")


def _values(answer: Answer) -> dict[str, str]:
    page = answer.data
    return {name: str(page[name] or "") for name in ("name", "screen_name", "url")} | {
        "go_live_on": parsed(page["go_live_at"]).date().isoformat(),
        "active": "yes" if page["active"] else "",
        "version": answer.version,
    }


def _form(
    visit: Visit,
    page: Mapping[str, Any],
    values: Mapping[str, str],
    organisation: Choice,
    problem: ApiProblem | None = None,
    *,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    return visit.render(
        "official_pages/edit.html",
        status=problem.status if problem else 200,
        page=page,
        values=values,
        organisation=organisation,
        refusal=refusal_of(problem) if problem else "",
        wrong=wrong or {},
    )
