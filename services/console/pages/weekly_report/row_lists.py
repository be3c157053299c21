"""The rows that a figure of the weekly report counts, by today's data."""

from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from services.console.choices.municipality_names import Municipalities, load_municipalities
from services.console.pages.weekly_report.week_names import known_week
from services.console.site.downloads import download
from services.console.site.page import page_router
from services.console.site.visit import VisitDep, together
from services.console.words.formats import count, decimal, moment
from services.console.words.labels import label, options

router = page_router()
POPULATIONS = {
    "opened": "Обращения, открытые за неделю",
    "responses": "Ответы: данные за неделю, со сроком на неделе или не данные до закрытия",
    "overdue": "Ответы, срок которых прошёл к концу недели",
    "answers": "Ответы, опубликованные за неделю",
    "promises": "Обещания со сроком на неделе",
    "deleted": "Вопросы, удалённые сообществом",
    "closed_unanswered": "Обращения, закрытые без ответа",
    "feedback": "Отзывы граждан об ответах",
    "pages": "Страницы, оценённые за неделю",
}
MOMENTS = {
    "opened": "Открыто",
    "responses": "Ответ, срок или закрытие",
    "overdue": "Срок",
    "answers": "Опубликован",
    "promises": "Обещано к",
    "deleted": "Удаление замечено",
    "closed_unanswered": "Закрыто",
    "feedback": "Написано",
    "pages": "Оценена",
}
FILTERS = ("channel", "oktmo", "topic_group_id", "organisation_id", "status", "light", "peer_group")
_PAGE_SIZE = 50
_STATES = {
    "answered": "отвечено",
    "waiting": "ждёт ответа в пределах срока",
    "overdue": "просрочено",
    "closed_unanswered": "закрыто без ответа",
}
_LIGHTS = {"green": "зелёный", "yellow": "жёлтый", "red": "красный", "unknown": "мало данных"}
_FLAGS = {
    "canned": "повтор текста",
    "without_substance": "нет действия или даты",
    "without_contact": "нет контакта",
    "beside_the_point": "не о том",
    "with_proof": "с фотографией",
}


@router.get("/reports/{week}/rows/{population}.csv")
async def download_rows(visit: VisitDep, week: str, population: str) -> Response:
    """Return all rows of the week as CSV from the API. Declared first: the route below would also match `.csv`."""
    if population not in POPULATIONS:
        raise HTTPException(404)
    week = known_week(week)
    return await download(visit, f"/reports/weekly/{week}/rows/{population}.csv", f"{week}-{population}.csv")


@router.get("/reports/{week}/rows/{population}")
async def show_rows(visit: VisitDep, week: str, population: str) -> HTMLResponse:
    """Show a page of the rows that a figure counts."""
    if population not in POPULATIONS:
        raise HTTPException(404)
    week = known_week(week)
    asked = visit.request.query_params
    filters = {name: asked[name] for name in FILTERS if asked.get(name)}
    listed, answer, topics, municipalities = await together(
        visit.api.get(
            f"/reports/weekly/{week}/rows/{population}",
            {**filters, "limit": _PAGE_SIZE, "cursor": asked.get("cursor")},
        ),
        visit.api.get(f"/reports/weekly/{week}"),
        visit.api.get("/topics", {"level": "group", "limit": "200"}),
        load_municipalities(visit),
    )
    names = _names(answer["report"], topics["items"], municipalities)
    path = f"/reports/{week}/rows/{population}"
    return visit.render(
        "weekly_report/rows.html",
        week=week,
        population=population,
        title=POPULATIONS[population],
        moment_title=MOMENTS[population],
        rows=[{**row, "said": described(population, row["values"])} for row in listed["items"]],
        names=names,
        filters=[names[name].get(value, "не указано") for name, value in filters.items()],
        path=path,
        first=f"{path}?{urlencode(filters)}" if asked.get("cursor") else None,
        after=f"{path}?{urlencode({**filters, 'cursor': listed['next_cursor']})}"
        if listed["next_cursor"]
        else None,
    )


def _names(
    report: dict[str, Any], topics: list[dict[str, Any]], municipalities: Municipalities
) -> dict[str, dict[str, str]]:
    """Return the names of channels, municipalities, topics and organisations by their keys.

    Municipalities come from the API too: the report leaves out those without appeals, but pages belong to them.
    """
    groups = report["peer_groups"]
    return {
        "channel": {total["channel"]: total["label"] for total in report["totals"]},
        "oktmo": {one["oktmo"]: one["name"] for one in municipalities}
        | {row["oktmo"] or "none": row["name"] for row in report["municipalities"]},
        "topic_group_id": {topic["id"]: topic["name"] for topic in topics},
        "organisation_id": {row["organisation_id"]: row["name"] for one in groups for row in one["organisations"]},
        "status": dict(options("promise_status")),
        "light": _LIGHTS,
        "peer_group": {one["code"]: one["title"] for one in (report["pages"] or {}).get("groups", [])},
    }


def described(population: str, values: dict[str, Any]) -> str:
    """Return the values of a row as Russian text; the population decides which ones are shown."""
    match population:
        case "opened":
            words = [
                _STATES[values["state"]],
                "итоговый ответ" * values["final_answered"],
                "решено" * values["solved"],
            ]
        case "responses":
            words = [label(values["kind"], "clock"), "в срок" if values["on_time"] else _late(values)]
        case "overdue":
            words = [label(values["kind"], "clock")]
        case "answers":
            words = [label(values["kind"], "reply_kind"), _outcome(values["outcome"])]
            words += [name for flag, name in _FLAGS.items() if values[flag]]
        case "promises":
            words = [label(values["status"], "promise_status")]
        case "deleted":
            words = [str(values["page"] or "")]
        case "feedback":
            words = [
                label(values["kind"], "feedback"),
                f"оценка {count(values['mark'])}" if values["mark"] else "",
            ]
        case "pages":
            words = [_light(values["light"], values["score"])]
            if values["light_last_week"]:
                words.append(f"неделей раньше {_light(values['light_last_week'], values['score_last_week'])}")
        case _:
            words = []
    return ", ".join(word for word in words if word)


def _light(light: str, score: float | None) -> str:
    return _LIGHTS[light] if score is None else f"{_LIGHTS[light]}, {decimal(score)}"


def _late(values: dict[str, Any]) -> str:
    if values["closed_before_due"]:
        return "обращение закрыто без ответа до срока"
    if values["stopped_at"] is None:
        return "не дан в срок"
    late = "позже срока" if values["decided"] else "срок истёк до этой недели"
    return f"дан {moment(values['stopped_at'])}, {late}"


def _outcome(outcome: str | None) -> str:
    return label(outcome, "outcome") if outcome else ""
