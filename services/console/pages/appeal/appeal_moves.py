"""Changes of an appeal's status, organisation and assignee."""

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Form
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.organisation_choice import search_organisations
from services.console.pages.appeal.appeal_move_forms import Choice, done_words, proposed_organisations
from services.console.pages.appeal.appeal_page import Entered, Refusals, changed, refused, show
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()
_Field = Annotated[str, Form(max_length=4_000)]
_REFUSALS = Refusals(
    conflict="Так перевести обращение нельзя: его уже перевели или возвращали, эта организация его уже получала "
    "или прошёл срок возврата. Посмотрите, что можно сделать сейчас.",
    fields={
        "organisation_id": "Выберите действующую организацию.",
        "reason": "Напишите причину.",
        "outcome": "Выберите итог.",
        "assignee_id": "Этому сотруднику обращение назначить нельзя.",
    },
)


async def _search(visit: Visit, words: str) -> list[Choice]:
    return [Choice(one["id"], one["name"]) for one in await search_organisations(visit.api, words)]


@router.get("/appeals/{appeal_id}/organisations")
async def find_organisations(visit: VisitDep, appeal_id: UUID, organisation_q: str = "") -> HTMLResponse:
    """Return organisations that match the name being typed into the transfer form."""
    found = await _search(visit, organisation_q)
    appeal: dict[str, Any] = await visit.api.get(f"/appeals/{appeal_id}") if not found else {}
    offered = found or proposed_organisations(appeal, ())
    return visit.fragment(
        "appeal/organisations.html",
        organisations=offered,
        chosen="",
        sought=organisation_q.strip() if not found else "",
    )


@router.post("/appeals/{appeal_id}/moves")
async def move(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    to: _Field,
    version: _Field = "",
    seen: _Field = "",
    organisation_id: _Field = "",
    organisation_q: _Field = "",
    reason: _Field = "",
    outcome: _Field = "",
    find: _Field = "",
) -> Response:
    """Move the appeal; with `find`, search for organisations, for browsers without JavaScript."""
    values = {
        "seen": seen,
        "organisation_id": organisation_id,
        "organisation_q": organisation_q,
        "reason": reason,
        "outcome": outcome,
    }
    entered = Entered(f"move-{to}", values)
    if find or (organisation_q.strip() and not organisation_id):
        found = await _search(visit, organisation_q)
        error = None if found else "Ни одна организация не подошла. Попробуйте другие слова."
        return await show(visit, str(appeal_id), Entered(entered.form, values, error, organisations=found))
    body = {"to": to, "organisation_id": organisation_id, "reason": reason.strip(), "outcome": outcome}
    return await _moved(
        visit, str(appeal_id), entered, {name: value for name, value in body.items() if value}, version
    )


async def _moved(visit: Visit, appeal_id: str, entered: Entered, body: dict[str, str], version: str) -> Response:
    try:
        answer = await visit.api.send("POST", f"/appeals/{appeal_id}/moves", body, version=version)
    except ApiProblem as problem:
        if problem.status not in {403, 409, 412, 422}:
            raise
        # The search with the same words also finds the organisation that was chosen.
        found = await _search(visit, entered.values["organisation_q"])
        again = replace(refused(entered, problem, _REFUSALS), organisations=found)
        return await show(visit, appeal_id, again, problem.status)
    note = done_words(body["to"])
    own = visit.me["organisation"]
    holder = answer.data["organisation"]
    if body["to"] == "assigned" and holder is not None:
        note = f"{note}: {holder['name']}"
    if own is not None and (holder is None or holder["id"] != own["id"]) and not answer.data["allowed_moves"]:
        # The person's organisation no longer sees the appeal.
        return visit.redirect("/inbox", note=f"{note} (№ {answer.data['number']})")
    return visit.redirect(f"/appeals/{appeal_id}", note=note)


@router.post("/appeals/{appeal_id}/assignee")
async def assign(
    *, visit: VisitDep, appeal_id: UUID, version: _Field = "", seen: _Field = "", assignee_id: _Field = ""
) -> Response:
    """Assign the appeal to a person; without a person, remove the assignee."""
    entered = Entered("assignee", {"seen": seen, "assignee_id": assignee_id})
    call = visit.api.send(
        "POST", f"/appeals/{appeal_id}/moves", {"assignee_id": assignee_id or None}, version=version
    )
    mine = assignee_id == visit.me["person"]["id"]
    note = "Исполнитель — вы" if mine else "Исполнитель назначен" if assignee_id else "Исполнитель снят"
    return await changed(visit, str(appeal_id), entered, call, note=note, refusals=_REFUSALS)
