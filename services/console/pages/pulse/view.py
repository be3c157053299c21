"""The page of the daily pulse: a past day, by default yesterday, compared with the days before."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.site.charts import Bar, bar_chart
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep
from services.console.words.formats import count, decimal
from shared import clock

PATH = "/pulse"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.REPORTS, 10, "Сводка за день", PATH, rights=frozenset({"metrics:read"}), key="s"),),
)
FIGURES = {"opened": "Поступило", "answered": "Отвечено", "overdue": "Просрочено на конец дня"}


@router.get(PATH)
async def show_pulse(visit: VisitDep, day: str | None = None) -> HTMLResponse:
    """Show the figures of a past day, and what was unusual about it."""
    yesterday = clock.today() - timedelta(days=1)
    shown = _day(day) or yesterday
    try:
        pulse = await visit.api.get("/metrics/pulse", {"day": shown.isoformat()})
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        return visit.render("pulse/pulse.html", status=422, pulse=None, day=shown, last=yesterday)
    return visit.render(
        "pulse/pulse.html",
        pulse=pulse,
        day=shown,
        last=yesterday,
        before=f"{PATH}?day={shown - timedelta(days=1)}",
        after=f"{PATH}?day={shown + timedelta(days=1)}" if shown < yesterday else None,
        verdict=pulse["verdict"]["text"][:1].upper() + pulse["verdict"]["text"][1:],
        figures=FIGURES,
        chart=bar_chart("Поступило по каналам", [_bar(channel) for channel in pulse["channels"]], legend=_LEGEND),
        topics=[{**topic, "address": _appeals_of(topic, shown)} for topic in pulse["unusual_topics"]],
        opened=f"/analytics/appeals?{urlencode({'day': shown.isoformat(), 'from': shown, 'to': shown})}",
    )


_LEGEND = ("этот день", "среднее за 7 дней")


def _bar(channel: dict[str, Any]) -> Bar:
    opened = channel["opened"]
    text = count(opened["value"])
    if opened["mean"] is not None:
        text += f" (в среднем {decimal(opened['mean'])})"
    return Bar(channel["name"], opened["value"], text, opened["mean"])


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        return None


def _appeals_of(topic: dict[str, Any], day: date) -> str:
    """Return the address of the day's appeals on this topic group in this location."""
    query = {"from": day, "to": day, "topic_group": topic["topic_group_id"], "location": topic["municipality"]}
    return f"/analytics/appeals?{urlencode(query)}"
