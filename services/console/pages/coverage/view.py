"""Coverage: how many organisations are at which stage of an official page, and which have no live page."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse, Response

from services.console.site.charts import Bar, LineChart, bar_chart, line_chart, part_of
from services.console.site.downloads import download
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import VisitDep, together
from services.console.words.formats import count, day, percent

PATH = "/coverage"
router = page_router()
PAGE = Page(router, (NavigationLink(Section.REPORTS, 50, "Охват страницами", PATH),))
NETWORKS = {"any": "Хотя бы одна соцсеть", "vk": "ВКонтакте", "ok": "Одноклассники"}
STAGES = {
    "live": "В работе",
    "not_live": "Подтверждена, не введена в работу",
    "not_verified": "Не подтверждена",
    "closed": "Закрыта",
    "no_page": "Нет страницы",
}
REASONS = {
    "no_page": "нет страницы",
    "closed": "страница закрыта",
    "not_verified": "страница не подтверждена",
    "not_live": "страница не введена в работу",
    "exempt": "освобождена от ведения страницы",
}
GROUPS = {
    "municipality": "муниципалитетам",
    "sphere": "сферам",
    "parent": "вышестоящим организациям",
    "kind": "видам органов",
}
_KINDS = {
    "regional": "Республиканские органы",
    "municipality": "Органы местного самоуправления",
    "institution": "Учреждения",
    "court": "Суды",
    "other": "Другие организации",
}
# The API's filter for the key of a group, by how the groups are formed.
_GROUP_FILTERS = {"municipality": "municipality", "sphere": "sphere", "parent": "parent_id", "kind": "kind"}
_SHARED_FILTERS = ("municipality", "sphere", "kind", "parent_id")
_PAGE_SIZE = 50


@router.get(PATH)
async def show_coverage(visit: VisitDep) -> HTMLResponse:
    """Show the stages by network, the groups, the history, and the organisations without a live page."""
    asked = visit.request.query_params
    filters = {name: asked[name] for name in _SHARED_FILTERS if asked.get(name)}
    missing = {name: asked[name] for name in ("reason", "q") if asked.get(name)}
    network = _one_of(NETWORKS, asked.get("network", ""), "any")
    group_by = _one_of(GROUPS, asked.get("group_by", ""), "municipality")
    parameters = {**filters, **missing, "network": network, "limit": _PAGE_SIZE, "cursor": asked.get("cursor")}
    coverage, listed, history, municipalities = await together(
        visit.api.get("/coverage", {**filters, "group_by": group_by}),
        visit.api.get("/coverage/missing", parameters),
        visit.api.get("/coverage/history", {**filters, "network": network, "interval": "week", "limit": "60"}),
        visit.api.get("/municipalities", {"limit": "200"}),
    )
    query = {**filters, **missing, "network": network, "group_by": group_by}
    return visit.render(
        "coverage/coverage.html",
        total=_of_network(coverage["total"], network),
        totals=coverage["total"],
        networks=NETWORKS,
        stages=STAGES,
        reasons=REASONS,
        is_seen=lambda row: _is_seen(visit, row),
        groups=[_group(group, network, group_by, query) for group in coverage["groups"]],
        group_names=GROUPS,
        missing=listed["items"],
        query=query,
        narrowed=_narrowed(filters, coverage["groups"], municipalities["items"]),
        municipalities=[(one["oktmo"], one["name"]) for one in municipalities["items"]],
        stage_chart=_stages(_of_network(coverage["total"], network), NETWORKS[network]),
        history=_history(history["items"]),
        points=history["items"],
        exports=urlencode({name: query[name] for name in query if name != "group_by"}),
        first=f"{PATH}?{urlencode(query)}#missing" if asked.get("cursor") else None,
        after=_after(query, listed["next_cursor"]),
    )


@router.get(PATH + "/coverage.csv")
async def download_coverage(visit: VisitDep) -> Response:
    """Return the groups as CSV from the API."""
    group_by = visit.request.query_params.get("group_by")
    asked = _asked(visit, _SHARED_FILTERS) | ({"group_by": group_by} if group_by in GROUPS else {})
    return await download(visit, "/coverage", "coverage.csv", {**asked, "format": "csv"})


@router.get(PATH + "/missing.csv")
async def download_missing(visit: VisitDep) -> Response:
    """Return the organisations without a live page as CSV from the API."""
    asked = _asked(visit, (*_SHARED_FILTERS, "network", "reason", "q"))
    return await download(visit, "/coverage/missing", "coverage-missing.csv", {**asked, "format": "csv"})


def _is_seen(visit: VisitDep, row: dict[str, Any]) -> bool:
    """Return whether the person may open the health of the row's page: organisations see their own pages."""
    own, parent = visit.me["organisation"], row["parent"] if visit.me["include_subordinates"] else None
    whose = {row["organisation"]["id"], parent["id"] if parent else None}
    return visit.may("metrics:read") and (own is None or own["id"] in whose)


def _one_of(known: Mapping[str, str], asked: str, default: str) -> str:
    return asked if asked in known else default


def _asked(visit: VisitDep, names: tuple[str, ...]) -> dict[str, str]:
    query = visit.request.query_params
    return {name: query[name] for name in names if query.get(name)}


def _of_network(rows: list[dict[str, Any]], network: str) -> dict[str, Any]:
    return next(row for row in rows if row["network"] == network)


def _group(group: dict[str, Any], network: str, group_by: str, query: dict[str, str]) -> dict[str, Any]:
    figures = _of_network(group["networks"], network)
    narrowed = {**query, _GROUP_FILTERS[group_by]: group["key"]}
    name = _KINDS.get(group["key"]) or group["name"] or "не указано"
    return {
        **figures,
        "name": name,
        "address": f"{PATH}?{urlencode(narrowed)}#missing",
        "length": part_of(figures["covered"], figures["required"]),
    }


def _narrowed(filters: dict[str, str], groups: list[dict[str, Any]], municipalities: list[dict[str, Any]]) -> str:
    """Return the active filters in words."""
    names = {one["oktmo"]: one["name"] for one in municipalities} | _KINDS
    names |= {group["key"]: group["name"] for group in groups if group["name"]} | {"none": "не указано"}
    words = [
        value if name == "sphere" else names.get(value, "вышестоящая организация")
        for name, value in filters.items()
    ]
    return ", ".join(words)


def _stages(figures: dict[str, Any], network: str) -> Any:
    bars = [Bar(title, figures[stage], count(figures[stage])) for stage, title in STAGES.items()]
    return bar_chart(f"{network}: сколько организаций на каком шаге", bars)


def _history(points: list[dict[str, Any]]) -> LineChart:
    values = [
        (day(point["day"]), _as_percent(point["covered_share"]), percent(point["covered_share"]))
        for point in points
    ]
    return line_chart("Доля организаций с подтверждённой страницей, %", values, most=100)


def _as_percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _after(query: dict[str, str], cursor: str | None) -> str | None:
    return f"{PATH}?{urlencode({**query, 'cursor': cursor})}#missing" if cursor else None
