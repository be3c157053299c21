"""The inbox: lists of appeals. The address has the whole state of a list; its filter is that of `GET /appeals`."""

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep, together

PATH = "/inbox"
router = page_router()
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 10, "Обращения", PATH, rights=frozenset({"appeals:read"}), key="i"),),
)
_PAGE_SIZE = 30


@dataclass(frozen=True)
class WorkList:
    """A list that people work through: a name and its query."""

    title: str
    query: tuple[tuple[str, str], ...]

    @property
    def address(self) -> str:
        """Return the address of the list."""
        return f"{PATH}?{urlencode(self.query)}"


WORK_LISTS = (
    WorkList("Мои", (("assignee", "me"), ("sort", "due"))),
    WorkList("Скоро срок", (("sort", "due"),)),
    WorkList("Просрочены", (("overdue", "true"), ("sort", "due"))),
    WorkList("Без исполнителя", (("assignee", "none"),)),
    WorkList("Возвращены", (("triage_reason", "returned"),)),
    WorkList("На согласовании", (("on_approval", "true"),)),
    WorkList("Не прочитаны", (("unread", "true"),)),
    WorkList("Все", ()),
)


@router.get(PATH)
async def show_inbox(visit: VisitDep) -> HTMLResponse:
    """Show a page of a list; parameters that the API does not know are refused by it."""
    query = [(name, value) for name, value in visit.request.query_params.multi_items() if value]
    listed, views = await together(visit.api.get("/appeals", _parameters(query)), visit.api.get("/views"))
    return visit.render(
        "inbox/inbox.html",
        appeals=listed["items"],
        lists=WORK_LISTS,
        views=views["items"],
        current=_without(query, "cursor"),
        title=_title(visit, query),
        before=_page(query, listed.get("prev_cursor")),
        after=_page(query, listed.get("next_cursor")),
    )


def _parameters(query: list[tuple[str, str]]) -> dict[str, list[str] | str]:
    found: dict[str, list[str] | str] = {"limit": str(_PAGE_SIZE)}
    for name, value in query:
        if name != "limit":
            held = found.setdefault(name, [])
            assert isinstance(held, list)
            held.append(value)
    return found


def _without(query: list[tuple[str, str]], name: str) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in query if pair[0] != name)


def _page(query: list[tuple[str, str]], cursor: str | None) -> str | None:
    return f"{PATH}?{urlencode([*_without(query, 'cursor'), ('cursor', cursor)])}" if cursor else None


def _title(visit: Visit, query: list[tuple[str, str]]) -> str:
    plain = _without(query, "cursor")
    if words := dict(plain).get("q"):
        return f"Поиск: {words}"
    return next((known.title for known in WORK_LISTS if known.query == plain), "Обращения")
