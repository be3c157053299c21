"""The period and filters of an analytics page, read from its address and sent to the API."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import is_id
from services.console.site.visit import Visit, together
from services.console.words.formats import day, days_of_week
from services.console.words.labels import label
from services.console.words.refusals import explained
from shared import clock

PATH = "/analytics"
DIMENSIONS = {
    "week": "недели",
    "day": "дни",
    "topic_group": "группы тем",
    "topic": "темы",
    "location": "муниципалитеты",
    "municipality": "муниципалитеты организаций",
    "organisation": "организации",
    "network": "соцсети",
}
FIGURES = {
    "opened": "Поступило",
    "answered": "Отвечено",
    "on_time": "Отвечено в срок",
    "overdue": "Просрочено",
    "waiting": "Ждут в пределах срока",
    "closed_unanswered": "Закрыто без ответа",
    "final_answered": "Дан итоговый ответ",
    "solved": "Решено",
    "disputed": "Граждане не согласны",
    "not_required": "Ответ не нужен",
    "in_triage": "У модератора",
}
FILTERS = ("network", "topic_group", "location", "topic", "municipality", "organisation", "day", "week")
# Filters whose values are inserted into API paths.
_IDS = ("topic", "organisation")
_NONE = "none"
_STATE = ("rows", "columns", "figure", "measure", "sort", "order", "all", "group")
NO_KEY = "не указано"
_WEEKS = 6


@dataclass(frozen=True)
class Selection:
    """The query of a page: `from`, `to`, filters, and how the figures are shown."""

    path: str
    query: dict[str, str]

    @classmethod
    def of(cls, visit: Visit) -> Self:
        """Return the selection of a request; the default period is the last six weeks."""
        asked = visit.request.query_params
        query = {name: asked[name] for name in ("from", "to", *_STATE, *FILTERS) if asked.get(name)}
        for name in _IDS:
            if query.get(name, _NONE) != _NONE and not is_id(query[name]):
                query.pop(name)
        today = clock.today()
        query.setdefault("from", (today - timedelta(days=today.weekday(), weeks=_WEEKS - 1)).isoformat())
        query.setdefault("to", today.isoformat())
        query |= _as_days(query)
        query.setdefault("rows", "week")
        if query["rows"] not in DIMENSIONS:
            query["rows"] = "week"
        if query.get("columns") not in DIMENSIONS or query.get("columns") == query["rows"]:
            query.pop("columns", None)
        if query.get("figure") not in FIGURES:
            query["figure"] = "opened"
        return cls(visit.request.url.path, query)

    @property
    def filters(self) -> dict[str, str]:
        """Return the filters that are set."""
        return {name: self.query[name] for name in FILTERS if name in self.query}

    def parameters(self, *names: str, without: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the parameters for an API call: period, filters and the named ones."""
        wanted = ("from", "to", *names, *(name for name in FILTERS if name not in without))
        return {name: self.query[name] for name in wanted if name in self.query}

    def with_(self, path: str | None = None, **changes: str | None) -> str:
        """Return the address with changed values; None removes a parameter."""
        changed = {name: value for name, value in {**self.query, **changes}.items() if value is not None}
        return f"{path or self.path}?{urlencode(changed)}"

    def tab(self, path: str) -> str:
        """Return the address of another analytics page about the same appeals."""
        return f"{path}?{urlencode(self.parameters())}"


def _as_days(query: dict[str, str]) -> dict[str, str]:
    """Return the period as days for the form; links from the API contain midnights, and their end is excluded."""
    days = {}
    for name, before in (("from", 0), ("to", 1)):
        if re.fullmatch(r".{10}T00:00:00[+-]\d\d:\d\d", query[name]):
            with suppress(ValueError):  # typed into the address; the API refuses it
                days[name] = (date.fromisoformat(query[name][:10]) - timedelta(days=before)).isoformat()
    return days


def appeals_address(link: str, figure: str = "opened") -> str:
    """Return the console's address of the appeals that a figure counts; `link` is the API's address of them."""
    query = [pair for pair in parse_qsl(urlsplit(link).query) if pair[0] != "figure"]
    return f"{PATH}/appeals?{urlencode([*query, ('figure', figure)])}"


def key_name(dimension: str, key: str, name: str | None = None) -> str:
    """Return the label of a dimension's key."""
    if key == _NONE:
        return "не из соцсети" if dimension == "network" else NO_KEY
    try:
        match dimension:
            case "day":
                return day(key)
            case "week":
                return days_of_week(key)
            case "network":
                return label(key, "network")
    except ValueError:  # typed into the address; the API refuses it
        return key
    return name or "название неизвестно"


async def filter_choices(visit: Visit, selection: Selection) -> dict[str, Any]:
    """Return the choices of the form, and the names of the active filters."""
    filters = selection.filters
    topics, places, organisation, topic = await together(
        visit.api.get("/topics", {"level": "group", "limit": "200"}),
        visit.api.get("/municipalities", {"limit": "200"}),
        _found(visit, "/organisations/{}", filters.get("organisation")),
        _found(visit, "/topics/{}", filters.get("topic")),
    )
    groups = [(one["id"], one["name"]) for one in topics["items"]]
    municipalities = [(one["oktmo"], one["name"]) for one in places["items"]]
    names = {
        "topic_group": dict(groups),
        "location": dict(municipalities),
        "municipality": dict(municipalities),
        "organisation": {filters.get("organisation"): organisation},
        "topic": {filters.get("topic"): topic},
    }
    set_ = {name: key_name(name, key, names.get(name, {}).get(key)) for name, key in filters.items()}
    return {"topic_group": groups, "location": municipalities, "set": set_}


async def _found(visit: Visit, path: str, key: str | None) -> str | None:
    """Return the name of the object with this id; None if there is no such object."""
    if key is None or key == _NONE:
        return None
    try:
        name: str = (await visit.api.get(path.format(key)))["name"]
    except ApiProblem as problem:
        if problem.status not in {404, 422}:
            raise
        return None
    return name


def refused(problem: ApiProblem) -> str:
    """Return why a figure could not be computed, for the form. Raise the problem if the form cannot correct it."""
    if problem.status == 503:
        return "Расчёт занял слишком много времени. Выберите период короче."
    if problem.status != 422:
        raise problem
    if "query/from" in problem.fields or "query/to" in problem.fields:
        return "Проверьте период: начало не может быть позже конца."
    if "query/columns" in problem.fields or "query/rows" in problem.fields:
        return "Таблица получилась бы слишком большой. Сократите период, добавьте отбор или смените разбивку."
    return explained(problem)


def period_name(first: str, last: str) -> str:
    """Return the label of a period whose end is exclusive."""
    begin, end = date.fromisoformat(first[:10]), date.fromisoformat(last[:10]) - timedelta(days=1)
    return day(begin) if begin >= end else f"{day(begin)} — {day(end)}"
