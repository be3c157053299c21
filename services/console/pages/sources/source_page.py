"""How one page is read: its sources, reconciliation, backfill and callback."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import is_day, refusal_of, start_of_day
from services.console.site.visit import Visit, VisitDep, together
from shared import clock

_NO_DAY = "Выберите день, с которого читать историю."
_LATE_DAY = "Этот день ещё не наступил."
_RUNNING = "Догрузка этой страницы уже идёт. Дождитесь её или отмените."
_SECRET = "Секрет: от 6 до 50 знаков, латинские буквы, цифры и знаки - . _ ~"  # noqa: S105
router = APIRouter()


@router.get("/sources/{page_id}")
async def show_page_sources(visit: VisitDep, page_id: UUID) -> HTMLResponse:
    """Show the sources of a page."""
    return await _page(visit, page_id)


# A refused form leaves the browser at one of these addresses.
@router.get("/sources/{page_id}/reconciliations")
@router.get("/sources/{page_id}/backfills")
@router.get("/sources/{page_id}/callback")
async def return_to_page(visit: VisitDep, page_id: UUID) -> Response:
    """Redirect to the page's sources."""
    return visit.redirect(f"/sources/{page_id}")


@router.post("/sources/{page_id}/reconciliations")
async def reconcile_page(visit: VisitDep, page_id: UUID) -> Response:
    """Start a reconciliation of the page."""
    form = await visit.request.form()
    body = {"since": start_of_day(str(form["since"]))} if form.get("since") else {}
    note = "Сверка начата: результат появится здесь"
    return await _started(visit, f"{page_id}/reconciliations", body, key=str(form.get("key", "")), note=note)


@router.post("/sources/{page_id}/backfills")
async def backfill_page(visit: VisitDep, page_id: UUID) -> Response:
    """Request a backfill of the page."""
    form = await visit.request.form()
    entered = {"since": str(form.get("since", "")), "open_appeals": "yes" if form.get("open_appeals") else ""}
    since = start_of_day(entered["since"])
    if since is None or not is_day(entered["since"]):
        return await _page(visit, page_id, refusal=_NO_DAY, entered=entered, status=422)
    if since > clock.now().astimezone(clock.REGION_TIME_ZONE).isoformat():
        return await _page(visit, page_id, refusal=_LATE_DAY, entered=entered, status=422)
    body = {"since": since, "open_appeals": bool(entered["open_appeals"])}
    return await _started(
        visit,
        f"{page_id}/backfills",
        body,
        key=str(form.get("key", "")),
        note="Догрузка начата",
        entered=entered,
    )


@router.post("/sources/{page_id}/callback")
async def register_callback(visit: VisitDep, page_id: UUID) -> Response:
    """Register a callback that somebody set up in the network by hand."""
    form = await visit.request.form()
    body = {name: str(form[name]).strip() for name in ("secret", "confirmation_code") if form.get(name)}
    try:
        await visit.api.send("PUT", f"/sources/{page_id}/callback", body)
    except ApiProblem as problem:
        refusal = _SECRET if "/secret" in problem.fields else refusal_of(problem)
        return await _page(visit, page_id, callback_refusal=refusal, status=problem.status)
    return visit.redirect(f"/sources/{page_id}", note="Уведомления зарегистрированы: подтвердите адрес в соцсети")


@router.post("/sources/{page_id}/callback/removal")
async def remove_callback(visit: VisitDep, page_id: UUID) -> Response:
    """Delete the callback registration."""
    await visit.api.send("DELETE", f"/sources/{page_id}/callback")
    return visit.redirect(f"/sources/{page_id}", note="Уведомления соцсети отключены. Страница читается опросом")


async def _started(
    visit: Visit, path: str, body: dict[str, Any], *, key: str, note: str, entered: dict[str, str] | None = None
) -> Response:
    page_id = UUID(path.partition("/")[0])
    try:
        await visit.api.send("POST", f"/sources/{path}", body, key=key)
    except ApiProblem as problem:
        refusal = refusal_of(problem)
        if "backfill_id" in problem.document:
            refusal = _RUNNING
        return await _page(visit, page_id, refusal=refusal, entered=entered, status=problem.status)
    return visit.redirect(f"/sources/{page_id}", note=note)


async def _page(
    visit: Visit,
    page_id: UUID,
    *,
    refusal: str = "",
    callback_refusal: str = "",
    entered: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    page, registration = await together(visit.api.get(f"/sources/{page_id}"), _registration(visit, page_id))
    return visit.render(
        "sources/page.html",
        status=status,
        page=page,
        registration=registration,
        refusal=refusal,
        callback_refusal=callback_refusal,
        entered=entered or {},
        today=clock.today().isoformat(),
    )


async def _registration(visit: Visit, page_id: UUID) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await visit.api.get(f"/sources/{page_id}/callback")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        return None
    return found
