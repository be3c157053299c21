"""Create an API client, and change its access."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import Answer, ApiProblem
from services.console.choices.choices_by_name import Choice, chosen_organisation, known_organisation
from services.console.registry_forms.access_roles import CENTRE_ROLES, grantable_roles
from services.console.site.forms import changed_meanwhile, entered, refusal_of, start_of_day, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.formats import parsed
from services.console.words.labels import LABELS

PATH = "/clients"
router = page_router()
_WRONG = {
    "name": "Введите название системы.",
    "role": "Выберите роль.",
    "organisation_id": "Для этой роли нужна организация; у ролей центра организации нет.",
    "include_subordinates": "Роли центра и так видят все организации.",
    "scopes": "У этой роли нет одного из отмеченных прав: снимите отметку.",
    "expires_at": "День уже прошёл.",
}
_TOO_MANY = "Больше клиентов у организации быть не может. Отключите тот, который не нужен."
_CREATED = "Клиент с таким названием только что заведён. Если нужен второй, заведите его ещё раз."


@router.get("/clients-new")
async def show_new_client(visit: VisitDep) -> HTMLResponse:
    """Show an empty form; for a person of an organisation it has that organisation."""
    own = visit.me["organisation"]
    organisation = await known_organisation(visit.api, own["id"] if own else None)
    return _form(visit, {"role": "executor"}, (), organisation, newest=(await _newest(visit))["id"])


@router.post("/clients-new")
async def create_client(visit: VisitDep) -> Response:
    """Create a client and show its secret."""
    form, scopes = await _entered(visit)
    is_of_centre = form.get("role") in CENTRE_ROLES
    organisation = (
        Choice("organisation")
        if is_of_centre
        else await chosen_organisation(visit.api, form, "organisation", required=True)
    )
    if organisation.error:
        return _form(visit, form, scopes, organisation, newest=form.get("newest", ""))
    newest = await _newest(visit)
    if newest["id"] != form.get("newest", "") and newest["name"] == form.get("name", ""):
        return _form(visit, form, scopes, organisation, newest=newest["id"], refusal=_CREATED)
    body = _changes(form, scopes) | {
        "role": form.get("role", ""),
        "organisation_id": organisation.id,
    }
    try:
        made = await visit.api.send("POST", PATH, body)
    except ApiProblem as problem:
        if problem.status == 409:
            return _form(visit, form, scopes, organisation, newest=newest["id"], refusal=_TOO_MANY)
        return _form(visit, form, scopes, organisation, problem, newest=newest["id"])
    return visit.render("clients/secret.html", client=made.data, is_new=True)


async def _newest(visit: Visit) -> dict[str, str]:
    """Return the id and name of the newest client. Used to notice a repeated submission: the API has no
    idempotency here.
    """
    if not visit.may("clients:read"):
        return {"id": "", "name": ""}
    listed = (await visit.api.get(PATH, {"limit": 1}))["items"]
    return {name: listed[0][name] if listed else "" for name in ("id", "name")}


@router.get(PATH + "/{client_id}/edit")
async def show_client_form(visit: VisitDep, client_id: str) -> Response:
    """Show the form with the client's fields."""
    if not visit.may("clients:read"):
        return visit.redirect(PATH)
    answer = await visit.api.send("GET", f"{PATH}/{client_id}")
    client = answer.data
    return _form(visit, _values(answer), client["scopes"] or (), Choice("organisation"), client=client)


@router.post(PATH + "/{client_id}/edit")
async def change_client(visit: VisitDep, client_id: str) -> Response:
    """Change the client, unless somebody has changed it since the form was shown."""
    form, scopes = await _entered(visit)
    try:
        await visit.api.send("PATCH", f"{PATH}/{client_id}", _changes(form, scopes), version=form.get("version"))
    except ApiProblem as problem:
        current = await visit.api.send("GET", f"{PATH}/{client_id}")
        if problem.status != 412:
            return _form(visit, form, scopes, Choice("organisation"), problem, client=current.data)
        values = _values(current)
        wrong = changed_meanwhile(values, form, chosen=("include_subordinates",))
        if sorted(current.data["scopes"] or ()) != sorted(scopes):
            wrong["scopes"] = "Сейчас отмечены другие права."
        again = form | {"version": values["version"]}
        return _form(visit, again, scopes, Choice("organisation"), problem, client=current.data, wrong=wrong)
    return visit.redirect(f"{PATH}/{client_id}", note="Изменения сохранены")


def _values(answer: Answer) -> dict[str, str]:
    client = answer.data
    return {
        "name": client["name"],
        "include_subordinates": "yes" if client["include_subordinates"] else "",
        "expires_on": parsed(client["expires_at"]).date().isoformat() if client["expires_at"] else "",
        "version": answer.version,
        "role": client["role"],
    }


async def _entered(visit: Visit) -> tuple[dict[str, str], list[str]]:
    form = await visit.request.form()
    return await entered(visit.request), [str(one) for one in form.getlist("scopes")]


def _changes(form: Mapping[str, str], scopes: Sequence[str]) -> dict[str, Any]:
    return {
        "name": form.get("name", ""),
        "include_subordinates": form.get("include_subordinates") == "yes",
        "scopes": list(scopes) or None,
        "expires_at": start_of_day(form.get("expires_on", "")),
    }


def _form(
    visit: Visit,
    values: Mapping[str, str],
    scopes: Sequence[str],
    organisation: Choice,
    problem: ApiProblem | None = None,
    *,
    client: Mapping[str, Any] | None = None,
    wrong: Mapping[str, str] | None = None,
    newest: str = "",
    refusal: str = "",
) -> HTMLResponse:
    return visit.render(
        "clients/edit.html",
        status=problem.status if problem else 409 if refusal else 200,
        client=client,
        newest=newest,
        values=values,
        scopes=scopes,
        organisation=organisation,
        roles=grantable_roles(visit),
        rights=LABELS["right"].items(),
        refusal=refusal_of(problem) if problem else refusal,
        wrong=wrong or (wrong_fields(problem, _WRONG) if problem else {}),
    )
