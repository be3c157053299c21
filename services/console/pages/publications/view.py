"""Publications: replies that are being delivered to the networks, failed ones first."""

from uuid import UUID

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.page_names import page_names
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.forms import refusal_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.return_addresses import local_path
from services.console.site.visit import VisitDep

PATH = "/publications"
router = page_router()
PAGE = Page(
    router, (NavigationLink(Section.WORK, 50, "Публикации", PATH, rights=frozenset({"appeals:answer"}), key="p"),)
)
_TABS = (
    ("failed", "Не опубликованы"),
    ("uncertain", "Проверяем"),
    ("queued", "В очереди"),
    ("sending", "Отправляются"),
    ("published", "Опубликованы"),
)
_NOT_RETRIED = (
    "Опубликовать ещё раз нельзя: этот ответ уже не в ошибке, по обращению готовится другой ответ или оно "
    "присоединено к другому. Обновите список и откройте обращение."
)


@router.get(PATH)
async def show_publications(visit: VisitDep, status: str = "failed") -> HTMLResponse:
    """Show publications with a status."""
    chosen = status if status in dict(_TABS) else "failed"
    listed = await visit.api.get(
        "/publications", {"limit": 30, "status": chosen, **asked(visit, "network", "page_id", "cursor")}
    )
    return visit.render(
        "publications/publications.html",
        publications=listed["items"],
        tabs=_TABS,
        chosen=chosen,
        names=await page_names(visit, {one["page_id"] for one in listed["items"]}),
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.post(f"{PATH}/{{publication_id}}/retry")
async def retry_publication(visit: VisitDep, publication_id: UUID) -> Response:
    """Queue the failed parts of a reply again."""
    back = local_path(str((await visit.request.form()).get("back", "")), PATH)
    try:
        await visit.api.send("POST", f"/publications/{publication_id}/retry")
    except ApiProblem as problem:
        note = _NOT_RETRIED if problem.status == 409 else refusal_of(problem)
        return visit.redirect(back, note=note, kind="failed")
    return visit.redirect(back, note="Ответ снова в очереди на публикацию")
