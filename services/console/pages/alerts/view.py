"""Alerts: events that moderators must see at once."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form
from fastapi.responses import HTMLResponse, Response

from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep
from services.console.words.labels import LABELS

PATH = "/alerts"
RIGHT = "appeals:triage"
router = page_router()
PAGE = Page(router, (NavigationLink(Section.WORK, 25, "Тревоги", PATH, rights=frozenset({RIGHT}), key="t"),))
_ROWS = 30


@router.get(PATH)
async def show_alerts(visit: VisitDep, kind: str = "", seen: str = "false", cursor: str = "") -> HTMLResponse:
    """Show the alerts that nobody has marked as seen, or those already seen."""
    visit.require(RIGHT)
    asked: dict[str, Any] = {"kind": kind, "seen": seen, "limit": _ROWS, "cursor": cursor}
    listed = await visit.api.get(PATH, asked)
    kinds = [("", "Все"), *LABELS["alert_kind"].items()]
    return visit.render(
        "alerts/alerts.html",
        alerts=listed["items"],
        seen=seen == "true",
        kinds=[(title.capitalize(), _address(kind=value, seen=seen), value == kind) for value, title in kinds],
        address=_address(kind=kind, seen=seen, cursor=cursor),
        query=urlencode({"kind": kind, "seen": seen, "cursor": cursor}),
        unseen_address=_address(kind=kind),
        seen_address=_address(kind=kind, seen="true"),
        first=_address(kind=kind, seen=seen) if cursor else None,
        after=_address(kind=kind, seen=seen, cursor=listed["next_cursor"]) if listed["next_cursor"] else None,
    )


@router.post(PATH + "/{alert_id}/seen")
async def mark_seen(
    visit: VisitDep,
    alert_id: str,
    *,
    until: Annotated[str, Form()] = "",
    kind: str = "",
    seen: str = "false",
    cursor: str = "",
) -> Response:
    """Mark an alert as seen, unless it was raised again since it was shown, and show the list again."""
    visit.require(RIGHT)
    alert = (await visit.api.send("POST", f"{PATH}/{alert_id}/seen", {"until": until or None})).data
    about = f"обращение № {alert['appeal_number']}" if alert["appeal_number"] else "инцидент"
    what = "Тревога просмотрена" if alert["seen_at"] else "Тревога обновилась, прочтите её ещё раз"
    return visit.redirect(_address(kind=kind, seen=seen, cursor=cursor), note=f"{what}: {about}")


def _address(*, kind: str = "", seen: str = "false", cursor: str = "") -> str:
    pairs = {"kind": kind, "seen": seen if seen != "false" else "", "cursor": cursor}
    query = urlencode({name: value for name, value in pairs.items() if value})
    return f"{PATH}?{query}" if query else PATH
