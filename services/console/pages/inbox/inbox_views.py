"""Saved views: save the shown list, rename it, share it, delete it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.appeal_list_query import PATH, ListQuery
from services.console.pages.inbox.list_page import SaveForm, show_list
from services.console.site.visit import Visit, VisitDep
from services.console.words.refusals import explained

router = APIRouter()
VIEWS = f"{PATH}/views"
_CITIZEN = "Список обращений одного гражданина сохранить нельзя: данные граждан могут быть удалены."
_TOO_MANY = "У вас уже 100 сохранённых списков, больше нельзя. Удалите ненужные."
_NO_NAME = "Дайте списку название."
Name = Annotated[str, Form(max_length=300)]
Text = Annotated[str, Form(max_length=8_000)]


@router.get(VIEWS)
async def show_views(visit: VisitDep) -> HTMLResponse:
    """Show the person's views, which can be renamed and deleted, and those that colleagues share."""
    return await _shown(visit)


async def _shown(visit: Visit, refused: dict[str, Any] | None = None, *, status: int = 200) -> HTMLResponse:
    answer = await visit.api.get("/views", {"limit": 200})
    views = [(one, ListQuery.parsed(one["query"])) for one in answer["items"]]
    return visit.render("inbox/views.html", status=status, views=views, refused=refused)


@router.post(VIEWS)
async def save_view(
    visit: VisitDep, list: Text = "", name: Name = "", is_shared: Annotated[bool, Form()] = False, key: Text = ""
) -> Response:
    """Save the list in the form field `list` as a view, and show it."""
    query = ListQuery.parsed(list).at(None)
    form = SaveForm(name.strip(), is_shared)
    if not form.name:
        form.refusal = _NO_NAME
        return await show_list(visit, query, form, status=422)
    body = {"name": form.name, "filter": query.view_filter(), "sort": query.sort, "is_shared": is_shared}
    try:
        await visit.api.send("POST", "/views", body, key=key)
    except ApiProblem as problem:
        form.refusal = _reason(problem)
        return await show_list(visit, query, form, status=problem.status)
    return visit.redirect(query.address, note=f"Список «{form.name}» сохранён")


@router.post(VIEWS + "/{view_id}")
async def change_view(
    visit: VisitDep, view_id: UUID, name: Name = "", is_shared: Annotated[bool, Form()] = False, version: Text = ""
) -> Response:
    """Rename the person's own view, share it or stop sharing it."""
    try:
        view = await visit.api.get(f"/views/{view_id}")
        body = {"name": name.strip(), "filter": view["filter"], "sort": view["sort"], "is_shared": is_shared}
        await visit.api.send("PUT", f"/views/{view_id}", body, version=version)
    except ApiProblem as problem:
        if problem.status not in {409, 412, 422}:
            raise
        refused = {"id": str(view_id), "name": name, "is_shared": is_shared, "text": _reason(problem)}
        return await _shown(visit, refused, status=problem.status)
    return visit.redirect(VIEWS, note=f"Список «{name.strip()}» изменён")


@router.post(VIEWS + "/{view_id}/delete")
async def delete_view(visit: VisitDep, view_id: UUID, version: Text = "") -> Response:
    """Delete a view."""
    try:
        await visit.api.send("DELETE", f"/views/{view_id}", version=version)
    except ApiProblem as problem:
        if problem.status != 412:
            raise
        refused = {"id": str(view_id), "name": None, "is_shared": None, "text": explained(problem)}
        return await _shown(visit, refused, status=412)
    return visit.redirect(VIEWS, note="Список удалён")


def _reason(problem: ApiProblem) -> str:
    if problem.status == 409:
        return _TOO_MANY
    if "/filter/author_key" in problem.fields:
        return _CITIZEN
    if problem.status == 422 and "/name" in problem.fields:
        return f"{_NO_NAME[:-1]}: до 100 знаков, в одну строку."
    return explained(problem)
