"""The inbox: lists of appeals. The address has the whole state of a list; its filter is that of `GET /appeals`."""

from urllib.parse import urlencode

from fastapi.responses import Response

from services.console.choices.appeal_list_query import PATH, ListQuery
from services.console.choices.municipality_names import find_municipalities, load_municipalities
from services.console.choices.organisation_choice import choose_organisation
from services.console.pages.inbox import filter_form, inbox_views, list_export
from services.console.pages.inbox.list_page import show_list
from services.console.pages.inbox.work_lists import lists_of
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()
router.include_router(list_export.router)
router.include_router(filter_form.router)
router.include_router(inbox_views.router)
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 10, "Обращения", PATH, rights=frozenset({"appeals:read"}), key="i"),),
)
# Form fields for a typed name, which is replaced by a filter on the id.
_TYPED = frozenset({"organisation", "district"})


@router.get(PATH)
async def show_inbox(visit: VisitDep) -> Response:
    """Show a page of a list; without parameters, the first page of the person's default list."""
    given = visit.request.query_params.multi_items()
    query = ListQuery.of(pair for pair in given if pair[0] not in _TYPED)
    if not given:
        query = lists_of(visit)[0][0].query
    typed = {name: value.strip() for name, value in given if name in _TYPED and value.strip()}
    if typed:
        return await _with_names(visit, query, typed)
    if given and any(not value or key in {"from", "to"} for key, value in given):
        return visit.redirect(query.address)  # submitted by a form: redirect to an address without empty fields
    return await show_list(visit, query)


async def _with_names(visit: Visit, query: ListQuery, typed: dict[str, str]) -> Response:
    """Redirect to the list of the municipality and organisation with these names, or let the person choose among
    several.
    """
    if name := typed.pop("district", ""):
        districts = find_municipalities(await load_municipalities(visit), name)
        if len(districts) != 1:
            found = [(one["name"], query.with_filter("municipality", one["oktmo"])) for one in districts]
            return _choice(visit, query, name, found, "district", rest=f"&{urlencode(typed)}" if typed else "")
        query = query.with_filter("municipality", districts[0]["oktmo"])
    if name := typed.get("organisation", ""):
        choice = await choose_organisation(visit.api, name)
        sure = choice.chosen or (choice.found[0] if len(choice.found) == 1 else None)
        if sure is None:
            found = [(one["name"], query.with_filter("organisation_id", one["id"])) for one in choice.found]
            return _choice(visit, query, name, found, "organisation")
        query = query.with_filter("organisation_id", sure["id"])
    return visit.redirect(query.address)


def _choice(
    visit: Visit, query: ListQuery, name: str, found: list[tuple[str, ListQuery]], field: str, *, rest: str = ""
) -> Response:
    """Let the person choose among several matches of a name; `rest` has the other typed name as a parameter."""
    links = [(words, narrowed.address + rest) for words, narrowed in found]
    return visit.render("inbox/which_name.html", field=field, name=name, found=links, back=query.address)
