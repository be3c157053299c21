"""Register an organisation, and change it."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import changed_choice, chosen_organisation, known_organisation
from services.console.pages.organisations import organisation_form
from services.console.pages.organisations.organisation_form import OrganisationForm
from services.console.site.forms import changed_meanwhile, entered, refusal_of, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()


@router.get("/organisations-new")
async def show_new_organisation(visit: VisitDep, parent_id: str = "") -> HTMLResponse:
    """Show an empty form."""
    parent = await known_organisation(visit.api, parent_id, "parent")
    return await _form(visit, OrganisationForm({}, parent))


@router.post("/organisations-new")
async def register_organisation(visit: VisitDep) -> Response:
    """Register an organisation and redirect to it."""
    form = await entered(visit.request)
    parent = await chosen_organisation(visit.api, form, "parent")
    if parent.error:
        return await _form(visit, OrganisationForm(form, parent))
    body = organisation_form.request_body(form, parent, is_new=True)
    try:
        made = await visit.api.send("POST", "/organisations", body, key=form.get("key"))
    except ApiProblem as problem:
        return await _refused(visit, OrganisationForm(form, parent), problem)
    return visit.redirect(f"/organisations/{made.data['id']}", note="Организация добавлена в реестр")


@router.get("/organisations/{organisation_id}/edit")
async def show_organisation_form(visit: VisitDep, organisation_id: str) -> HTMLResponse:
    """Show the form with the organisation's fields."""
    answer = await visit.api.send("GET", f"/organisations/{organisation_id}")
    parent = await known_organisation(visit.api, answer.data["parent_id"], "parent")
    values = organisation_form.shown_values(answer.data) | {"version": answer.version}
    return await _form(visit, OrganisationForm(values, parent), answer.data)


@router.post("/organisations/{organisation_id}/edit")
async def change_organisation(visit: VisitDep, organisation_id: str) -> Response:
    """Change the organisation, unless somebody has changed it since the form was shown."""
    path = f"/organisations/{organisation_id}"
    form = await entered(visit.request)
    organisation = await visit.api.get(path)
    former = (
        await visit.api.get(f"/organisations/{organisation['parent_id']}") if organisation["parent_id"] else None
    )
    parent = await chosen_organisation(visit.api, form, "parent", known=former)
    if parent.error:
        return await _form(visit, OrganisationForm(form, parent), organisation)
    body = organisation_form.request_body(form, parent, is_new=False)
    try:
        await visit.api.send("PATCH", path, body, version=form.get("version"))
    except ApiProblem as problem:
        if problem.status == 412:
            return await _changed_meanwhile(visit, OrganisationForm(form, parent), problem, organisation_id)
        return await _refused(visit, OrganisationForm(form, parent), problem, organisation)
    return visit.redirect(path, note="Изменения сохранены")


async def _changed_meanwhile(
    visit: Visit, form: OrganisationForm, problem: ApiProblem, organisation_id: str
) -> HTMLResponse:
    """Return the form with notes on what a colleague has changed and with the current version, so that it can be
    sent again.
    """
    current = await visit.api.send("GET", f"/organisations/{organisation_id}")
    wrong = changed_meanwhile(
        organisation_form.shown_values(current.data), form.values, chosen=organisation_form.CHOSEN
    )
    now = await known_organisation(visit.api, current.data["parent_id"], "parent")
    wrong["parent_id"] = changed_choice(now, form.parent)
    values = {**form.values, "version": current.version}
    shown = OrganisationForm(values, form.parent, refusal_of(problem), wrong)
    return await _form(visit, shown, current.data, status=problem.status)


async def _refused(
    visit: Visit, form: OrganisationForm, problem: ApiProblem, organisation: Mapping[str, Any] | None = None
) -> HTMLResponse:
    shown = OrganisationForm(
        form.values, form.parent, refusal_of(problem), wrong_fields(problem, organisation_form.WRONG)
    )
    return await _form(visit, shown, organisation, status=problem.status)


async def _form(
    visit: Visit, form: OrganisationForm, organisation: Mapping[str, Any] | None = None, *, status: int = 200
) -> HTMLResponse:
    return visit.render(
        "organisations/edit.html",
        status=status,
        form=form,
        values=form.values,
        organisation=organisation,
        options=await organisation_form.options(visit.api),
    )
