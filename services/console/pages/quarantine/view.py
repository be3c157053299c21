"""Quarantine: payloads from the networks that could not be parsed."""

import json
from uuid import UUID

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.page_names import page_names
from services.console.site.addresses import asked, first_page, next_page
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep
from shared.russian import plural

PATH = "/quarantine"
router = page_router()
PAGE = Page(
    router, (NavigationLink(Section.SYSTEM, 30, "Карантин", PATH, rights=frozenset({"sources:inspect"}), key="k"),)
)
_STILL_UNREADABLE = "Прочитать по-прежнему не удалось: запись остаётся в карантине до обновления системы."
_POLLED = "Сообщение получено опросом: система разберёт его сама при следующем опросе или при сверке."
# Payloads may be large: the page shows only this many characters.
_SHOWN = 20_000


@router.get(PATH)
async def show_quarantine(visit: VisitDep) -> HTMLResponse:
    """Show the entries, newest first."""
    listed = await visit.api.get(
        "/sources/quarantine", {"limit": 50, **asked(visit, "network", "page_id", "cursor")}
    )
    return visit.render(
        "quarantine/quarantine.html",
        payloads=listed["items"],
        names=await page_names(visit, {one["page_id"] for one in listed["items"] if one["page_id"]}),
        network=visit.request.query_params.get("network", ""),
        before=first_page(visit),
        after=next_page(visit, listed.get("next_cursor")),
    )


@router.get(f"{PATH}/{{payload_id}}")
async def show_payload(visit: VisitDep, payload_id: UUID) -> HTMLResponse:
    """Show the payload as it was received; the API records who read it."""
    payload = await visit.api.get(f"/sources/quarantine/{payload_id}")
    raw = payload["raw"]
    text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, indent=2)
    names = await page_names(visit, {payload["page_id"]} if payload["page_id"] else set())
    return visit.render(
        "quarantine/payload.html",
        payload=payload,
        text=text[:_SHOWN],
        is_cut=len(text) > _SHOWN,
        names=names,
    )


@router.post(f"{PATH}/{{payload_id}}/retry")
async def retry_payload(visit: VisitDep, payload_id: UUID) -> Response:
    """Try to parse an entry again."""
    pushed = (await visit.request.form()).get("source_kind") in {"callback", "long_poll"}
    try:
        answer = await visit.api.send("POST", f"/sources/quarantine/{payload_id}/retry")
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return visit.redirect(PATH, note=_STILL_UNREADABLE if pushed else _POLLED, kind="failed")
    new = answer.data["new"]
    words = f"{new} {plural(new, ('новое сообщение', 'новых сообщения', 'новых сообщений'))}"
    changed = answer.data["edited"] + answer.data["deleted"] + answer.data["restored"]
    return visit.redirect(PATH, note=f"Прочитано: {words}, изменений: {changed}")
