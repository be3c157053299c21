"""Files of long lists: a person requests one, a job writes it, and it can be downloaded until it expires."""

from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.appeal_list_query import ListQuery
from services.console.site.downloads import download
from services.console.site.forms import entered, is_id
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

PATH = "/exports"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 65, "Файлы списков", PATH, rights=frozenset({"appeals:read"})),),
)
_MOST = 50
_FORMATS = {"xlsx": "Excel", "csv": "CSV"}
_REFUSED = {
    409: "Столько обращений файл не вмещает: Excel до 50 000, CSV до 300 000. Сузьте отбор, например по периоду.",
    422: "Этот отбор нельзя превратить в файл: откройте список ещё раз.",
    429: "Одновременно готовятся не больше двух файлов, хранятся не больше десяти. Дождитесь готового или удалите "
    "лишний.",
}
_NOT_READY = "Этого файла ещё нет или уже нет. Посмотрите ниже, что готово."


@router.get(PATH)
async def show_exports(visit: VisitDep) -> HTMLResponse:
    """Show the person's files and, if the address has a list, the form that requests its file."""
    return await _show(visit, visit.request.query_params.get("list", ""))


@router.get(PATH + "/state")
async def show_state(visit: VisitDep) -> HTMLResponse:
    """Return the part of the page that is refreshed while files are being written."""
    if not visit.is_swap:
        return await _show(visit, "")
    return visit.fragment("exports/state.html", **await _found(visit))


@router.get(PATH + "/file")
async def download_file(visit: VisitDep) -> Response:
    """Return a file that is ready."""
    export_id = visit.request.query_params.get("export_id", "")
    if not is_id(export_id):
        return visit.redirect(PATH)
    try:
        return await download(
            visit,
            f"/exports/{export_id}/file",
            "appeals",
            passed_on=("Content-Disposition", "X-Total-Count"),
        )
    except ApiProblem as problem:
        if problem.status not in {404, 409}:
            raise
        return visit.redirect(PATH, note=_NOT_READY, kind="failed")


@router.post(PATH)
async def request_file(visit: VisitDep) -> Response:
    """Request the file of a list."""
    form = await entered(visit.request)
    query = ListQuery.parsed(form.get("list", ""))
    chosen = form.get("format", "")
    body = {"format": chosen if chosen in _FORMATS else "csv", "filter": query.view_filter(), "sort": query.sort}
    try:
        await visit.api.send("POST", "/exports", body, key=form.get("key") or None)
    except ApiProblem as problem:
        if problem.status not in _REFUSED:
            raise
        return await _show(visit, form.get("list", ""), refusal=_REFUSED[problem.status], status=problem.status)
    return visit.redirect(PATH, note="Файл готовится")


@router.post(PATH + "/delete")
async def delete_file(visit: VisitDep) -> Response:
    """Delete a file, or cancel its job; a file that has expired meanwhile is not an error."""
    form = await entered(visit.request)
    export_id = form.get("export_id", "")
    if is_id(export_id):
        try:
            await visit.api.send("DELETE", f"/exports/{export_id}")
        except ApiProblem as problem:
            if problem.status != 404:
                raise
    return visit.redirect(PATH, note="Файл отменён" if form.get("do") == "cancel" else "Файл удалён")


async def _show(visit: Visit, wanted: str, *, refusal: str = "", status: int = 200) -> HTMLResponse:
    query = ListQuery.parsed(wanted) if wanted else None
    return visit.render(
        "exports/exports.html",
        status=status,
        query=query,
        refusal=refusal,
        **await _found(visit),
    )


async def _found(visit: Visit) -> dict[str, Any]:
    found = (await visit.api.get("/exports", {"limit": _MOST}))["items"]
    unfinished = any(one["status"] in {"queued", "running"} for one in found)
    return {"exports": found, "unfinished": unfinished, "formats": _FORMATS}
