"""Page health: the pages of a week by their colour, and one page with its points of each week."""

from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.site.charts import LineChart, line_chart
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep, together
from services.console.words.formats import count, days_of_week, decimal
from services.console.words.refusals import explained

PATH = "/page-health"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.REPORTS, 60, "Живые страницы", PATH, rights=frozenset({"metrics:read"})),),
)
LIGHTS = {"red": "красный", "yellow": "жёлтый", "green": "зелёный", "unknown": "мало данных"}
FILTERS = ("week", "network", "light", "municipality", "silent", "organisation_id")
_PAGE_SIZE = 50
_WEEKS = 26
_NO_DATA = "нет данных"
_SOURCES = {
    "page_steps": "шаги в реестре",
    "page_checks": "ежедневная проверка",
    "messages": "собранные сообщения",
    "appeals": "обращения",
}


@router.get(PATH)
async def show_pages(visit: VisitDep) -> HTMLResponse:
    """Show the scored pages of a week, worst first."""
    asked = visit.request.query_params
    filters = {name: asked[name] for name in FILTERS if asked.get(name)}
    parameters = {**filters, "limit": _PAGE_SIZE, "cursor": asked.get("cursor")}
    municipalities = (await visit.api.get("/municipalities", {"limit": "200"}))["items"]
    refusal, listed = None, dict[str, Any](items=[], next_cursor=None)
    try:
        listed = await visit.api.get("/metrics/pages", parameters)
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        refusal = explained(problem)
    items = listed["items"]
    return visit.render(
        "page_health/pages.html",
        status=422 if refusal else 200,
        pages=items,
        lights=LIGHTS,
        filters=filters,
        refusal=refusal,
        municipalities=[(one["oktmo"], one["name"]) for one in municipalities],
        week=items[0]["week"] if items else None,
        first=_address(filters) if asked.get("cursor") else None,
        after=_address({**filters, "cursor": listed["next_cursor"]}) if listed["next_cursor"] else None,
    )


@router.get(PATH + "-peers")
async def show_peers(visit: VisitDep) -> HTMLResponse:
    """Show the typical figures of pages of similar organisations."""
    asked = visit.request.query_params
    filters = {name: asked[name] for name in ("week", "network") if asked.get(name)}
    refusal, found = None, dict[str, Any](week=None, groups=[])
    try:
        found = await visit.api.get("/metrics/page-peers", filters)
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        refusal = explained(problem)
    return visit.render(
        "page_health/peers.html", status=422 if refusal else 200, found=found, filters=filters, refusal=refusal
    )


@router.get(PATH + "/{page_id}")
async def show_page(visit: VisitDep, page_id: str, week: str | None = None) -> HTMLResponse:
    """Show a page: the points of one week with their evidence, and score, engagement and reach by week."""
    page, listed = await together(
        visit.api.get(f"/pages/{page_id}"), visit.api.get(f"/metrics/pages/{page_id}", {"limit": str(_WEEKS)})
    )
    weeks = listed["items"]
    shown = next((one for one in weeks if one["week"] == week), weeks[0] if weeks else None)
    peers = None
    if shown:
        peers = await visit.api.get("/metrics/page-peers", {"week": shown["week"], "page_id": page["id"]})
    return visit.render(
        "page_health/page.html",
        page=page,
        weeks=weeks,
        shown=shown,
        peers=peers,
        lights=LIGHTS,
        sources=_SOURCES,
        trends=_trends(weeks),
    )


def _address(query: dict[str, str]) -> str:
    return f"{PATH}?{urlencode(query)}" if query else PATH


def _trends(weeks: list[dict[str, Any]]) -> list[LineChart]:
    """Return charts of the score and, if at least one week has data, of engagement and reach."""
    in_order = list(reversed(weeks))
    scores = [(days_of_week(one["week"]), one["score"], _score(one)) for one in in_order]
    charts = [line_chart("Балл по неделям", scores, most=100)]
    rates = [(days_of_week(one["week"]), (one["engagement"] or {}).get("rate")) for one in in_order]
    if any(rate is not None for _, rate in rates):
        shown = [(week, rate, _NO_DATA if rate is None else f"{decimal(rate, 2)} %") for week, rate in rates]
        charts.append(line_chart("Вовлечённость по неделям, %", shown))
    if any(one["reach"] is not None for one in weeks):
        reaches = [
            (days_of_week(one["week"]), one["reach"], _NO_DATA if one["reach"] is None else count(one["reach"]))
            for one in in_order
        ]
        charts.append(line_chart("Охват по неделям, человек", reaches))
    return charts


def _score(week: dict[str, Any]) -> str:
    return "мало данных" if week["score"] is None else decimal(week["score"])
