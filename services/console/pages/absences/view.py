"""Absences of the person and of colleagues, and the rules that choose who gets new appeals."""

from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.absences import assignee_rules
from services.console.pages.absences.colleagues import find_colleagues
from services.console.site.addresses import first_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.refusals import explained
from shared import clock

PATH = "/absences"
router = page_router()
router.include_router(assignee_rules.router)
PAGE = Page(router, (NavigationLink(Section.WORK, 80, "Отсутствия", PATH, rights=frozenset({"appeals:work"})),))
_BY_FIELD = {
    "person_id": "Выберите сотрудника, у которого есть доступ.",
    "starts_on": "Введите первый день.",
    "ends_on": "Последний день раньше первого или уже прошёл.",
    "substitute_id": "Замещать может другой сотрудник той же организации.",
}
Entered = Annotated[str, Form(max_length=100)]


@dataclass
class AbsenceForm:
    """The values entered in the form of an absence, and their errors."""

    entered: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    text: str = ""


@router.get(PATH)
async def show_absences(
    visit: VisitDep, cursor: Annotated[str | None, Query(max_length=2_000)] = None
) -> HTMLResponse:
    """Show the absences that the person may see, and the assignee rules."""
    return await _shown(visit, AbsenceForm(), cursor)


async def _shown(visit: Visit, form: AbsenceForm, cursor: str | None = None, *, status: int = 200) -> HTMLResponse:
    listed, rules, colleagues = await together(
        visit.api.get("/absences", {"limit": 50, "cursor": cursor}),
        visit.api.get("/assignee-rules", {"limit": 50}),
        find_colleagues(visit),
    )
    today = clock.today().isoformat()
    coming = [one for one in listed["items"] if one["ends_on"] >= today]
    return visit.render(
        "absences/absences.html",
        status=status,
        form=form, today=today, coming=sorted(coming, key=lambda one: one["starts_on"]),
        past=[one for one in listed["items"] if one["ends_on"] < today],
        is_later=cursor is not None, rules=rules["items"], colleagues=colleagues,
        first=first_page(visit),
        after=f"{PATH}?cursor={listed['next_cursor']}" if listed["next_cursor"] else None,
    )  # fmt: skip


@router.post(PATH)
async def record_absence(
    *,
    visit: VisitDep,
    person_id: Entered = "",
    starts_on: Entered = "",
    ends_on: Entered = "",
    substitute_id: Entered = "",
    key: Entered = "",
) -> Response:
    """Record an absence of the person or of a colleague."""
    entered: dict[str, Any] = {"starts_on": starts_on, "ends_on": ends_on}
    entered |= {"person_id": person_id} if person_id else {}
    entered |= {"substitute_id": substitute_id} if substitute_id else {}
    try:
        await visit.api.send("POST", "/absences", entered, key=key)
    except ApiProblem as problem:
        if problem.status not in {403, 409, 422}:
            raise
        names = [pointer.lstrip("/") for pointer in problem.fields]
        wrong = {name: _BY_FIELD[name] for name in names if name in _BY_FIELD}
        form = AbsenceForm(entered, wrong, "" if wrong else explained(problem))
        return await _shown(visit, form, status=problem.status)
    return visit.redirect(PATH, note="Отсутствие записано")


@router.post(PATH + "/{absence_id}/delete")
async def delete_absence(visit: VisitDep, absence_id: UUID) -> Response:
    """Delete an absence."""
    await visit.api.send("DELETE", f"/absences/{absence_id}")
    return visit.redirect(PATH, note="Отсутствие удалено: обращения снова назначаются")
