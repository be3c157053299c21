"""Connect a page: look up its address in the network, then register it."""

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import chosen_organisation, known_organisation
from services.console.registry_forms.connecting import Connection, community_in, look_up, refused, register
from services.console.site.forms import entered
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()


@router.get("/pages-new")
async def show_connection(visit: VisitDep, organisation_id: str = "", address: str = "") -> HTMLResponse:
    """Show the form for the address."""
    organisation = await known_organisation(visit.api, organisation_id)
    return _form(visit, Connection({"address": address}, organisation))


@router.post("/pages-new")
async def look_up_page(visit: VisitDep) -> HTMLResponse:
    """Show the community at the address, and whether it is already registered."""
    form = await entered(visit.request)
    organisation = await known_organisation(visit.api, form.get("organisation_id"))
    return _form(visit, await look_up(visit, form, organisation))


@router.post("/pages-new/connect")
async def connect_page(visit: VisitDep) -> Response:
    """Register the page and redirect to it."""
    form = await entered(visit.request)
    organisation = await chosen_organisation(visit.api, form, "organisation", required=True)
    if organisation.error:
        return _form(visit, Connection(form, organisation, community_in(form)))
    try:
        page = await register(visit, form, organisation)
    except ApiProblem as problem:
        shown = refused(form, organisation, problem)
        again = Connection(form, organisation, community_in(form), shown.refusal, shown.wrong)
        return _form(visit, again, status=problem.status)
    note = "Страница подключена. Введите ключ доступа сообщества, чтобы собирать обращения"
    return visit.redirect(f"/pages/{page['id']}", note=note)


def _form(visit: Visit, connection: Connection, *, status: int = 200) -> HTMLResponse:
    return visit.render("official_pages/connect.html", status=status, form=connection, values=connection.values)
