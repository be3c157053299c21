"""Erasures: the personal data and texts of a citizen are removed permanently."""

import re
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.forms import refusal_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.labels import options

PATH = "/erasures"
router = page_router()
PAGE = Page(
    router,
    (
        NavigationLink(
            Section.SYSTEM, 70, "Удаление персональных данных", PATH, rights=frozenset({"personal_data:erase"})
        ),
    ),
)
# Erasures on this ground are started by the system.
_BY_ITSELF = "retention_ended"
_STATES = ("queued", "running", "done", "failed")
_AUTHOR_KEY = re.compile(r"[A-Za-z0-9_.:=-]{1,100}")
_NO_AUTHOR = "Такого автора нет. Откройте эту страницу по ссылке из обращения: «Другие обращения автора»."
_OFFICIAL_PAGE = "Это ключ официальной страницы, а не гражданина. Удаляются только данные граждан."
_NO_REFERENCE = "Укажите номер документа, без имени гражданина."
_NOT_CONFIRMED = "Подтвердите: удаление нельзя отменить."


@router.get(PATH)
async def show_erasures(visit: VisitDep) -> HTMLResponse:
    """Show the erasures and the form for a new one, filled with `author_key` of the address."""
    return await _erasures(visit, {"author_key": visit.request.query_params.get("author_key", "")})


@router.post(PATH)
async def erase_author(visit: VisitDep) -> Response:
    """Request the erasure of an author's data."""
    form = await visit.request.form()
    entered = {name: str(form.get(name, "")).strip() for name in ("author_key", "ground", "reference")}
    faults = {}
    if not _AUTHOR_KEY.fullmatch(entered["author_key"]):
        faults["author_key"] = _NO_AUTHOR
    if not entered["reference"]:
        faults["reference"] = _NO_REFERENCE
    if "confirmed" not in form:
        faults["confirmed"] = _NOT_CONFIRMED
    if faults:
        return await _erasures(visit, entered, faults=faults, status=422)
    body = {"ground": entered["ground"], "reference": entered["reference"]}
    path = f"/authors/{entered['author_key']}/erasure"
    try:
        await visit.api.send("POST", path, body, key=str(form.get("key", "")))
    except ApiProblem as problem:
        if problem.status == 404:
            return await _erasures(visit, entered, faults={"author_key": _NO_AUTHOR}, status=404)
        if problem.slug == "conflict":
            return await _erasures(visit, entered, faults={"author_key": _OFFICIAL_PAGE}, status=409)
        return await _erasures(visit, entered, refusal=refusal_of(problem), status=problem.status)
    return visit.redirect(PATH, note="Удаление поставлено в очередь. Ход виден в списке")


async def _erasures(
    visit: Visit,
    entered: dict[str, str],
    *,
    faults: dict[str, str] | None = None,
    refusal: str = "",
    status: int = 200,
) -> HTMLResponse:
    chosen = visit.request.query_params.get("status", "")
    state = chosen if chosen in _STATES else None
    listed: dict[str, Any] = await visit.api.get(PATH, {"limit": 30, "status": state, **asked(visit, "cursor")})
    return visit.render(
        "erasures/erasures.html",
        status=status,
        erasures=listed["items"],
        chosen=chosen,
        grounds=[(ground, text) for ground, text in options("erasure_ground") if ground != _BY_ITSELF],
        entered=entered,
        faults=faults or {},
        total=_total,
        refusal=refusal,
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


def _total(counts: dict[str, Any]) -> int:
    """Return how many rows all services erased together."""
    return sum(_total(value) if isinstance(value, dict) else int(value) for value in counts.values())
