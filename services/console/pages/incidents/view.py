"""Incidents: one problem that many citizens report."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from services.console.api_calls.client import ApiProblem
from services.console.pages.incidents import incident_changes, incident_replies
from services.console.pages.incidents.incident_details import PATH, appeals_by_number
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.refusals import explained

router = page_router()
router.include_router(incident_changes.router)
router.include_router(incident_replies.router)
PAGE = Page(
    router, (NavigationLink(Section.WORK, 30, "Инциденты", PATH, rights=frozenset({"appeals:read"}), key="n"),)
)
_ROWS = 30
_LISTS = (("Открытые", "true"), ("Закрытые", "false"))


class IncidentForm(BaseModel):
    """The form for a new incident: the numbers of its appeals, and a title."""

    numbers: str = ""
    title: str = ""
    key: str


@router.get(PATH)
async def show_incidents(visit: VisitDep, open: str = "true", q: str = "", cursor: str = "") -> HTMLResponse:
    """Show incidents, newest first."""
    return await _listed(visit, open=open, q=q, cursor=cursor)


@router.post(PATH)
async def create_incident(visit: VisitDep, form: Annotated[IncidentForm, Form()]) -> Response:
    """Create an incident from appeals."""
    appeal_ids, unknown = await appeals_by_number(visit, form.numbers)
    if unknown or not appeal_ids:
        refusal = f"Таких обращений нет: {', '.join(unknown)}." if unknown else "Укажите номера обращений."
        return await _listed(visit, form=form, refusal=refusal, status=422)
    body = {"appeal_ids": appeal_ids, "title": form.title.strip() or None}
    try:
        answer = await visit.api.send("POST", PATH, body, key=form.key)
    except ApiProblem as problem:
        if problem.status not in {409, 422}:
            raise
        refusal = _TAKEN if problem.status == 409 else explained(problem)
        return await _listed(visit, form=form, refusal=refusal, status=problem.status)
    incident = answer.data
    return visit.redirect(f"{PATH}/{incident['id']}", note=f"Инцидент № {incident['number']} создан")


_TAKEN = "Одно из обращений уже в другом инциденте. Сначала уберите его оттуда."


async def _listed(
    visit: Visit,
    *,
    open: str = "true",
    q: str = "",
    cursor: str = "",
    form: IncidentForm | None = None,
    refusal: str = "",
    status: int = 200,
) -> HTMLResponse:
    listed = await visit.api.get(PATH, {"open": open, "q": q, "limit": _ROWS, "cursor": cursor})
    return visit.render(
        "incidents/incidents.html",
        status=status,
        incidents=listed["items"],
        lists=[(title, _address(open=value, q=q), value == open) for title, value in _LISTS],
        open=open,
        q=q,
        first=_address(open=open, q=q) if cursor else None,
        after=_address(open=open, q=q, cursor=listed["next_cursor"]) if listed["next_cursor"] else None,
        address=_address(open=open, q=q),
        entered=form,
        refusal=refusal,
        may_change=visit.may("appeals:work"),
    )


def _address(**pairs: Any) -> str:
    left_out = {"open": "true"}
    query = urlencode({name: value for name, value in pairs.items() if value and left_out.get(name) != value})
    return f"{PATH}?{query}" if query else PATH
