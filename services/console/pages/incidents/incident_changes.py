"""Changes of an incident: its title, its leading organisation, its appeals, and closing it."""

from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from services.console.api_calls.client import ApiProblem
from services.console.pages.incidents.incident_details import PATH, appeals_by_number, show_incident_page
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.refusals import explained

ONE = PATH + "/{incident_id}"
router = page_router()
_JOINED_ELSEWHERE = "Инцидент закрыт, или одно из обращений уже в другом инциденте. Сначала уберите его оттуда."


class TitleForm(BaseModel):
    """The form for the title."""

    version: int
    title: str = ""


class LeadForm(BaseModel):
    """The organisation that leads the incident; empty: none."""

    version: int
    organisation_id: str = ""


class CloseForm(BaseModel):
    """The form that closes the incident: the version that the person saw."""

    version: int


class MembersForm(BaseModel):
    """The form that adds appeals: by their numbers, or chosen among similar ones."""

    numbers: str = ""
    appeal_ids: list[str] = []


@router.get(ONE)
async def show_incident(
    visit: VisitDep, incident_id: str, cursor: str = "", similar: bool = False, lead_q: str = ""
) -> HTMLResponse:
    """Show the incident with its appeals and replies."""
    return await show_incident_page(visit, incident_id, cursor=cursor, similar=similar, lead_q=lead_q)


@router.post(ONE + "/title")
async def rename(visit: VisitDep, incident_id: str, form: Annotated[TitleForm, Form()]) -> Response:
    """Set the title."""
    if not form.title.strip():
        return await show_incident_page(
            visit,
            incident_id,
            refusal="Дайте инциденту название.",
            status=422,
            entered={"form": "title", "title": ""},
        )
    return await _change(
        visit, incident_id, {"title": form.title.strip()}, form.version, "Название изменено.",
        entered={"form": "title", "title": form.title},
    )  # fmt: skip


@router.post(ONE + "/lead")
async def set_lead(visit: VisitDep, incident_id: str, form: Annotated[LeadForm, Form()]) -> Response:
    """Set the organisation that leads the incident."""
    body = {"organisation_id": form.organisation_id or None}
    note = "Ведущая организация назначена" if form.organisation_id else "Ведущей организации больше нет"
    return await _change(visit, incident_id, body, form.version, note, entered={"form": "lead"})


@router.post(ONE + "/close")
async def close(visit: VisitDep, incident_id: str, form: Annotated[CloseForm, Form()]) -> Response:
    """Close the incident."""
    try:
        await visit.api.send("POST", f"{PATH}/{incident_id}/closure", version=form.version)
    except ApiProblem as problem:
        return await _refused(visit, incident_id, problem, form="close")
    return visit.redirect(f"{PATH}/{incident_id}", note="Инцидент закрыт: новые обращения в него не попадут")


@router.post(ONE + "/members")
async def add_members(visit: VisitDep, incident_id: str, form: Annotated[MembersForm, Form()]) -> Response:
    """Add appeals to the incident."""
    named, unknown = await appeals_by_number(visit, form.numbers)
    appeal_ids = [*form.appeal_ids, *named]
    if unknown or not appeal_ids:
        refusal = f"Таких обращений нет: {', '.join(unknown)}." if unknown else "Укажите номера обращений."
        return await show_incident_page(
            visit, incident_id, refusal=refusal, status=422, entered={"form": "members", "numbers": form.numbers}
        )
    try:
        await visit.api.send("POST", f"{PATH}/{incident_id}/members", {"appeal_ids": appeal_ids})
    except ApiProblem as problem:
        return await _refused(visit, incident_id, problem, form="members", numbers=form.numbers)
    return visit.redirect(f"{PATH}/{incident_id}", note="Обращения добавлены")


@router.post(ONE + "/members/{appeal_id}/remove")
async def remove_member(visit: VisitDep, incident_id: str, appeal_id: str) -> Response:
    """Remove an appeal from the incident."""
    try:
        await visit.api.send("DELETE", f"{PATH}/{incident_id}/members/{appeal_id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        note = "Этого обращения в инциденте уже нет"
        return visit.redirect(f"{PATH}/{incident_id}", note=note, kind="failed")
    note = "Обращение убрано из инцидента. Автоматически оно сюда больше не попадёт"
    return visit.redirect(
        f"{PATH}/{incident_id}",
        note=note,
        undo={"path": f"{PATH}/{incident_id}/members/{appeal_id}/restore", "label": "Вернуть"},
    )


@router.post(ONE + "/members/{appeal_id}/restore")
async def restore_member(visit: VisitDep, incident_id: str, appeal_id: str) -> Response:
    """Add an appeal again after it was removed."""
    try:
        await visit.api.send("POST", f"{PATH}/{incident_id}/members", {"appeal_ids": [appeal_id]})
    except ApiProblem as problem:
        return await _refused(visit, incident_id, problem, form="members")
    return visit.redirect(f"{PATH}/{incident_id}", note="Обращение возвращено в инцидент")


async def _change(
    visit: Visit, incident_id: str, body: dict[str, Any], version: int, note: str, *, entered: dict[str, str]
) -> Response:
    try:
        await visit.api.send("PATCH", f"{PATH}/{incident_id}", body, version=version)
    except ApiProblem as problem:
        return await _refused(visit, incident_id, problem, **entered)
    return visit.redirect(f"{PATH}/{incident_id}", note=note)


async def _refused(visit: Visit, incident_id: str, problem: ApiProblem, **entered: str) -> HTMLResponse:
    if problem.status not in {403, 409, 412, 422}:
        raise problem
    refusal = explained(problem)
    if problem.status == 409:
        refusal = _JOINED_ELSEWHERE if entered["form"] == "members" else "Инцидент уже закрыт."
    return await show_incident_page(visit, incident_id, refusal=refusal, status=problem.status, entered=entered)
