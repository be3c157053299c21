"""Problems of the system that need a person's action: unreadable pages, tokens, failed deliveries."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.choices.page_names import pages_with_problems
from services.console.registry_forms.tokens import NEEDS_PERSON
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together

PATH = "/system"
router = page_router()
PAGE = Page(
    router,
    (
        NavigationLink(
            Section.SYSTEM, 5, "Состояние системы", PATH, rights=frozenset({"sources:inspect"}), key="y"
        ),
    ),
)
# The API's lists have no total: for longer lists the page shows only that there are more.
_COUNTED = 50


@dataclass(frozen=True)
class Concern:
    """The result of one check: how many problems there are, and the page that shows them."""

    title: str
    quiet: str
    path: str
    count: int
    is_more: bool = False
    names: tuple[str, ...] = ()


@router.get(PATH)
async def show_system(visit: VisitDep) -> HTMLResponse:
    """Show the results of the checks that the person has the right to see."""
    checks = [check for right, check in _CHECKS if visit.may(right)]
    concerns: list[Concern] = await together(*(check(visit) for check in checks))
    return visit.render(
        "system_health/system.html",
        bad=[one for one in concerns if one.count],
        good=[one for one in concerns if not one.count],
    )


async def _pages(visit: Visit) -> Concern:
    found = [page["name"] async for page in pages_with_problems(visit)]
    return Concern(
        "Страницы не читаются",
        "Все страницы читаются",
        "/sources?state=bad",
        len(found),
        names=tuple(found[:5]),
    )


async def _tokens(visit: Visit) -> Concern:
    tokens = (await visit.api.get("/sources/tokens"))["items"]
    bad = sum(one["state"] in NEEDS_PERSON for one in tokens)
    return Concern("Ключи доступа требуют действий", "Ключи доступа работают", "/sources/tokens", bad)


def _listed(path: str, page: str, title: str, quiet: str) -> Callable[[Visit], Awaitable[Concern]]:
    """Return the check of a list in which every item is a problem."""

    async def check(visit: Visit) -> Concern:
        where, _, status = path.partition("?status=")
        listed: dict[str, Any] = await visit.api.get(where, {"limit": _COUNTED, "status": status or None})
        return Concern(title, quiet, page, len(listed["items"]), listed["next_cursor"] is not None)

    return check


_CHECKS: tuple[tuple[str, Callable[[Visit], Awaitable[Concern]]], ...] = (
    ("sources:read", _pages),
    ("sources:inspect", _tokens),
    ("sources:read", _listed("/sources/quarantine", "/quarantine", "Записи в карантине", "Карантин пуст")),
    (
        "sources:read",
        _listed(
            "/sources/backfills?status=failed",
            "/sources/backfills?status=failed",
            "Догрузки не удались",
            "Ошибок догрузки нет",
        ),
    ),
    (
        "appeals:read",
        _listed(
            "/publications?status=failed",
            "/publications?status=failed",
            "Ответы не опубликованы",
            "Ошибок публикации нет",
        ),
    ),
    (
        "webhooks:read",
        _listed(
            "/webhooks/deliveries?status=failed",
            "/webhooks",
            "События не доставлены другим системам",
            "Ошибок доставки событий нет",
        ),
    ),
    (
        "personal_data:erase",
        _listed(
            "/erasures?status=failed",
            "/erasures?status=failed",
            "Удаления данных не выполнены",
            "Ошибок удаления данных нет",
        ),
    ),
)
