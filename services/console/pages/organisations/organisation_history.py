"""Other names of an organisation, and its successions."""

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_organisation
from services.console.site.forms import entered, refusal_of, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.labels import LABELS

router = page_router()
_NAME_KINDS = (("former", "прежнее"), ("alias", "другое название"))
_WRONG_NAME = {
    "name": "Введите название, которого у организации ещё нет.",
    "valid_to": "Последний день раньше первого.",
}
_WRONG_SUCCESSION = {
    "successors": "Проверьте преемников: для разделения нужны два, и организация не может быть своим преемником.",
    "effective_on": "Введите день, с которого действует преемник.",
    "kind": "Выберите, что происходит.",
}


@router.get("/organisations/{organisation_id}/names-new")
async def show_new_name(visit: VisitDep, organisation_id: str) -> HTMLResponse:
    """Show the form for another name."""
    return await _name_form(visit, organisation_id, {})


@router.post("/organisations/{organisation_id}/names-new")
async def add_name(visit: VisitDep, organisation_id: str) -> Response:
    """Add a former name, or another name by which the organisation is known."""
    form = await entered(visit.request)
    body = {name: form.get(name) or None for name in ("valid_from", "valid_to")}
    body |= {"kind": form.get("kind", ""), "name": form.get("name", "")}
    try:
        await visit.api.send("POST", f"/organisations/{organisation_id}/names", body, key=form.get("key"))
    except ApiProblem as problem:
        return await _name_form(visit, organisation_id, form, problem)
    return visit.redirect(f"/organisations/{organisation_id}", note="Название добавлено")


@router.post("/organisations/{organisation_id}/names/{name_id}/remove")
async def remove_name(visit: VisitDep, organisation_id: str, name_id: str) -> Response:
    """Remove a name that was added."""
    await visit.api.send("DELETE", f"/organisations/{organisation_id}/names/{name_id}")
    return visit.redirect(f"/organisations/{organisation_id}", note="Название удалено")


async def _name_form(
    visit: Visit, organisation_id: str, form: dict[str, str], problem: ApiProblem | None = None
) -> HTMLResponse:
    return visit.render(
        "organisations/name.html",
        status=problem.status if problem else 200,
        organisation=await visit.api.get(f"/organisations/{organisation_id}"),
        values=form,
        kinds=_NAME_KINDS,
        refusal=refusal_of(problem) if problem else "",
        wrong=wrong_fields(problem, _WRONG_NAME) if problem else {},
    )


@router.get("/organisations/{organisation_id}/successions-new")
async def show_new_succession(visit: VisitDep, organisation_id: str) -> HTMLResponse:
    """Show the form for a succession."""
    return await _succession_form(visit, organisation_id, {}, [Choice("successor"), Choice("second")])


@router.post("/organisations/{organisation_id}/successions-new")
async def record_succession(visit: VisitDep, organisation_id: str) -> Response:
    """Record the successors of an organisation, which closes on the day before the succession."""
    form = await entered(visit.request)
    successors = await together(
        chosen_organisation(visit.api, form, "successor", required=True),
        chosen_organisation(visit.api, form, "second"),
    )
    if any(one.error for one in successors):
        return await _succession_form(visit, organisation_id, form, successors)
    chosen = [{"organisation_id": one.id} for one in successors if one.id]
    body = {
        "successors": chosen,
        "kind": form.get("kind", ""),
        "effective_on": form.get("effective_on", ""),
        "document": form.get("document") or None,
    }
    try:
        await visit.api.send("POST", f"/organisations/{organisation_id}/successions", body, key=form.get("key"))
    except ApiProblem as problem:
        return await _succession_form(visit, organisation_id, form, successors, problem)
    return visit.redirect(f"/organisations/{organisation_id}", note="Преемник записан")


@router.post("/organisations/{organisation_id}/successions/{succession_id}/remove")
async def remove_succession(visit: VisitDep, organisation_id: str, succession_id: str) -> Response:
    """Remove a succession recorded by mistake; the organisation's last day has to be corrected separately."""
    await visit.api.send("DELETE", f"/organisations/{organisation_id}/successions/{succession_id}")
    note = "Запись о преемнике удалена. Проверьте последний день организации"
    return visit.redirect(f"/organisations/{organisation_id}/edit", note=note)


async def _succession_form(
    visit: Visit,
    organisation_id: str,
    form: dict[str, str],
    successors: list[Choice],
    problem: ApiProblem | None = None,
) -> HTMLResponse:
    return visit.render(
        "organisations/succession.html",
        status=problem.status if problem else 200,
        organisation=await visit.api.get(f"/organisations/{organisation_id}"),
        values=form,
        successors=successors,
        kinds=[("", "— выберите —"), *LABELS["succession_kind"].items()],
        refusal=refusal_of(problem) if problem else "",
        wrong=wrong_fields(problem, _WRONG_SUCCESSION) if problem else {},
    )
