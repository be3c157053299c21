"""Promises: how many each organisation kept, and the list of the counted promises."""

from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.console.site.charts import part_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep, together
from services.console.words.appeal_labels import PROMISE_STATUS
from shared import clock

PATH = "/promises"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.REPORTS, 40, "Обещания", PATH, rights=frozenset({"appeals:read"})),),
)
COUNTS = {"made": "Дано", "kept": "Выполнено", "moved": "Перенесено", "broken": "Не выполнено", "open": "Ждём"}
_PAGE_SIZE = 50
_DAYS = 42


@router.get(PATH)
async def show_promises(visit: VisitDep) -> HTMLResponse:
    """Show the figures of a period, and the promises with the chosen organisation or state."""
    asked = visit.request.query_params
    first = _day(asked.get("from")) or clock.today() - timedelta(days=_DAYS)
    last = _day(asked.get("to")) or clock.today()
    if refusal := "Начало периода позже его конца." if first > last else None:
        first, last = last, first
    period = {"made_from": _midnight(first), "made_to": _midnight(last + timedelta(days=1))}
    filters = {name: asked[name] for name in ("organisation_id", "status") if asked.get(name)}
    ledger, listed = await together(
        visit.api.get("/promises/ledger", period),
        visit.api.get("/promises", {**period, **filters, "limit": _PAGE_SIZE, "cursor": asked.get("cursor")}),
    )
    query = {"from": first.isoformat(), "to": last.isoformat()}
    return visit.render(
        "promises/promises.html",
        status=422 if refusal else 200,
        refusal=refusal,
        rows=sorted(map(_row, ledger["items"]), key=lambda row: (-row["broken"], -row["made"])),
        counts=COUNTS,
        totals={name: sum(row[name] for row in ledger["items"]) for name in COUNTS},
        promises=listed["items"],
        first=first,
        last=last,
        filters=filters,
        chosen=_chosen(ledger["items"], filters),
        base=f"{PATH}?{urlencode(query)}",
        start=_address(query, filters) if asked.get("cursor") else None,
        after=_address(query, {**filters, "cursor": listed["next_cursor"]}) if listed["next_cursor"] else None,
    )


def _row(item: dict[str, Any]) -> dict[str, Any]:
    decided = item["kept"] + item["broken"]
    return {**item, "kept_length": part_of(item["kept"], decided)}


def _chosen(items: list[dict[str, Any]], filters: dict[str, str]) -> str:
    """Return the filters of the list in words."""
    names = {item["organisation"]["id"]: item["organisation"]["name"] for item in items if item["organisation"]}
    words = [names.get(filters.get("organisation_id", ""), ""), PROMISE_STATUS.get(filters.get("status", ""), "")]
    return ", ".join(word for word in words if word)


def _address(query: dict[str, str], filters: dict[str, str]) -> str:
    return f"{PATH}?{urlencode({**query, **filters})}#listed"


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        return None


def _midnight(day: date) -> str:
    return datetime.combine(day, time.min, clock.REGION_TIME_ZONE).isoformat()
