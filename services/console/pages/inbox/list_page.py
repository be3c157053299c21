"""The page of a list: all API calls for it run concurrently."""

from dataclasses import dataclass
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.api_calls.client import ApiProblem
from services.console.choices.appeal_list_query import ListQuery
from services.console.choices.municipality_names import load_municipalities
from services.console.pages.inbox import filter_words
from services.console.pages.inbox.list_export import LONG_LIST
from services.console.pages.inbox.live_matching import live_bar
from services.console.pages.inbox.work_lists import count_lists, find_list, lists_of
from services.console.site.forms import is_id
from services.console.site.visit import Visit, together

_NO_WORDS = "В запросе нет слова, по которому можно искать: добавьте слово, номер или адрес."
_WRONG_FILTER = "Этот отбор составлен неверно. Сбросьте его или измените."
_SOUGHT = {
    "organisation_id": ("/organisations/{}", "name"),
    "topic_id": ("/topics/{}", "name"),
    "incident_id": ("/incidents/{}", "title"),
}


@dataclass
class SaveForm:
    """The values entered to save the list as a view, and why they were refused."""

    name: str = ""
    is_shared: bool = False
    refusal: str = ""


async def show_list(
    visit: Visit, query: ListQuery, save: SaveForm | None = None, *, status: int = 200
) -> HTMLResponse:
    """Return the page of a list; `save` is the form that saves it, if it was refused."""
    values = await _read(visit, query)
    if values["refusal"] is not None:
        status = 422
    return visit.render("inbox/inbox.html", status=status, save=save or SaveForm(), long_list=LONG_LIST, **values)


async def _read(visit: Visit, query: ListQuery) -> dict[str, Any]:
    """Return the values of the template."""
    others = together(count_lists(visit), visit.api.get("/views", {"limit": 200}))
    try:
        (listed, total, live), (counts, views) = await together(_listed(visit, query), others)
        refusal = None
    except ApiProblem as problem:
        if problem.status != 422:
            raise
        counts, views = await together(count_lists(visit), visit.api.get("/views", {"limit": 200}))
        listed, total, live = {"items": []}, None, None
        refusal = _NO_WORDS if "query/q" in problem.fields else _WRONG_FILTER
    appeals = listed["items"]
    names = await add_names(visit, query, filter_words.names_in(appeals))
    known = find_list(visit, query)
    view = next((one for one in views["items"] if ListQuery.parsed(one["query"]).has_same_list(query)), None)
    return {
        "query": query, "appeals": appeals, "total": total, "live": live, "refusal": refusal,
        "known": known, "view": view, "title": _title(query, known, view),
        "chips": filter_words.chips(query, names) if known is None else [],
        "tabs": [(one, counts.get(one.title)) for one in lists_of(visit)[0]], "other_lists": lists_of(visit)[1],
        "views": [(one, ListQuery.parsed(one["query"])) for one in views["items"]],
        "moves": _moves(appeals),
        "first": query.at(None).address if query.cursor else None,
        "before": _page(query, listed.get("prev_cursor")), "after": _page(query, listed.get("next_cursor")),
    }  # fmt: skip


async def _listed(visit: Visit, query: ListQuery) -> tuple[Any, int | None, dict[str, str] | None]:
    """Return a page of the list, the number of its appeals (None: not counted), and the settings of its live
    bar.
    """
    listed, live = visit.api.get("/appeals", query.parameters()), live_bar(visit, query)
    if query.is_search:  # counting a search would read all appeals that have the words
        found, bar = await together(listed, live)
        return found, None, bar
    counts = visit.api.get("/appeals/counts", query.filter_parameters())
    found, counted, bar = await together(listed, counts, live)
    return found, counted["total"], bar


async def add_names(visit: Visit, query: ListQuery, names: dict[str, str]) -> dict[str, str]:
    """Return `names` with the names of filter values that no appeal contains; names that cannot be read are left
    out.
    """
    for name, (path, part) in _SOUGHT.items():
        value = query.value(name)
        if value is not None and value not in names and is_id(value):
            try:
                found = await visit.api.get(path.format(value))
            except ApiProblem:
                continue
            names = names | {value: str(found.get(part) or "")}
    oktmo = query.value("municipality")
    if oktmo is not None and oktmo not in names:
        found = await load_municipalities(visit)
        names = names | {one["oktmo"]: one["name"] for one in found}
    return names


def _moves(appeals: list[dict[str, Any]]) -> set[str]:
    return {move for appeal in appeals for move in appeal["allowed_moves"]}


def _page(query: ListQuery, cursor: str | None) -> str | None:
    return query.at(cursor).address if cursor else None


def _title(query: ListQuery, known: Any, view: dict[str, Any] | None) -> str:
    if known is not None:
        return str(known.title)
    if view is not None:
        return str(view["name"])
    words = query.value("q")
    return f"Поиск: {words}" if words else "Обращения по отбору"
