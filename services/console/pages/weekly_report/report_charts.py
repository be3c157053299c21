"""Charts of the weekly report."""

from typing import Any

from services.console.site.charts import Bar, BarChart, LineChart, bar_chart, line_chart
from services.console.words.formats import count, days_of_week

_SHOWN = 10
_LEGEND = ("эта неделя", "прошлая неделя")


def weeks_chart(weeks: list[dict[str, Any]]) -> LineChart:
    """Return the chart of appeals in the listed weeks, oldest first."""
    return line_chart(
        "Обращений по неделям",
        [(days_of_week(week["week"]), week["appeals"], f"{count(week['appeals'])}") for week in reversed(weeks)],
    )


def report_charts(report: dict[str, Any]) -> dict[str, BarChart]:
    """Return the charts of a report by section name; none if the report has no appeals."""
    if not report["outcomes"]["opened"]:
        return {}
    charts = {
        "outcomes": _parts("Что стало с обращениями недели", _OUTCOMES, report["outcomes"]),
        "topics": _compared("Самые частые темы", report["topics"], "label"),
        "municipalities": _compared("Откуда пишут чаще всего", report["municipalities"], "name"),
    }
    if report["promises"]["due"]:
        charts["promises"] = _parts("Что стало с обещаниями", PROMISE_PARTS, report["promises"])
    if report["pages"] is not None:
        charts["pages"] = _parts("Страницы по светофору", SCORED_LIGHTS, report["pages"])
    return charts


_OUTCOMES = {
    "answered": "Отвечено",
    "waiting": "Ждут ответа в пределах срока",
    "overdue": "Просрочено",
    "closed_unanswered": "Закрыто без ответа",
}
PROMISE_PARTS = {
    "kept": "Выполнены",
    "moved": "Перенесены вовремя",
    "broken": "Не выполнены",
    "open": "Срок ещё не наступил",
}
SCORED_LIGHTS = {"green": "Зелёные", "yellow": "Жёлтые", "red": "Красные"}
LIGHTS = SCORED_LIGHTS | {"unknown": "Мало данных"}


def _parts(title: str, names: dict[str, str], figures: dict[str, Any]) -> BarChart:
    return bar_chart(title, [Bar(name, figures[code], count(figures[code])) for code, name in names.items()])


def _compared(title: str, rows: list[dict[str, Any]], name: str) -> BarChart:
    bars = []
    for row in rows[:_SHOWN]:
        appeals = row["appeals"]
        text = count(appeals["value"])
        if appeals["last_week"] is not None:
            text += f" (было {count(appeals['last_week'])})"
        bars.append(Bar(row[name], appeals["value"], text, appeals["last_week"]))
    return bar_chart(title, bars, legend=_LEGEND)
