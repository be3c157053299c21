"""The inbox: lists of appeals. The address has the whole state of a list; its filter is that of `GET /appeals`."""

from fastapi.responses import Response

from services.console.choices.appeal_list_query import PATH, ListQuery
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
_ORGANISATION = "organisation"


@router.get(PATH)
async def show_inbox(visit: VisitDep) -> Response:
    """Show a page of a list: without any parameter the first list of the person."""
    given = visit.request.query_params.multi_items()
    query = ListQuery.of(pair for pair in given if pair[0] != _ORGANISATION)
    if not given:
        query = lists_of(visit)[0][0].query
    name = visit.request.query_params.get(_ORGANISATION, "").strip()
    if name:
        return await _with_organisation(visit, query, name)
    if given and any(not value or key in {"from", "to"} for key, value in given):
        return visit.redirect(query.address)  # of a form: the address to keep has no empty fields
    return await show_list(visit, query)


async def _with_organisation(visit: Visit, query: ListQuery, name: str) -> Response:
    """Lead to the list of the organisation of this name, or let the person choose from several."""
    choice = await choose_organisation(visit.api, name)
    sure = choice.chosen or (choice.found[0] if len(choice.found) == 1 else None)
    if sure is not None:
        return visit.redirect(query.with_filter("organisation_id", sure["id"]).address)
    found = [(one, query.with_filter("organisation_id", one["id"]).address) for one in choice.found]
    return visit.render("inbox/organisations.html", name=name, found=found, back=query.address)
