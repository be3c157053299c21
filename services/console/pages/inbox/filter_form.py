"""The filter form of a list, with the possible values and the number of appeals for each."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from services.console.choices.appeal_list_query import PATH, ListQuery, day_of
from services.console.choices.municipality_names import counted_municipalities, load_municipalities
from services.console.pages.inbox import filter_words
from services.console.pages.inbox.list_page import add_names
from services.console.site.visit import Visit, VisitDep, together
from services.console.words.labels import options

router = APIRouter()
# Filters with a field in the form; the form keeps all other filters unchanged.
_IN_FORM = frozenset(
    {
        "q", "status", "urgency", "network", "organisation_id", "topic_id", "municipality", "tag", "source",
        "opened_from", "opened_to",
    }
)  # fmt: skip
_ORDERS = (
    ("-opened_at", "новые сначала"),
    ("opened_at", "старые сначала"),
    ("due", "ближайший срок сначала"),
    ("urgency", "срочные сначала"),
    ("-updated_at", "недавно изменённые сначала"),
)


@router.get(f"{PATH}/filters")
async def show_filters(visit: VisitDep) -> HTMLResponse:
    """Show the form as a separate page, for browsers without JavaScript."""
    return visit.render("inbox/filter_page.html", **await _form(visit))


@router.get(f"{PATH}/filters/form")
async def show_filter_form(visit: VisitDep) -> HTMLResponse:
    """Return the form, which the page of the list loads when the person opens it."""
    return visit.fragment("inbox/filter_form.html", **await _form(visit))


async def _form(visit: Visit) -> dict[str, Any]:
    query = ListQuery.of(visit.request.query_params.multi_items())
    facets, municipalities = await together(
        visit.api.get("/appeals/facets", query.filter_parameters()), load_municipalities(visit)
    )
    return {
        "query": query, "facets": facets,
        "names": await add_names(visit, query, filter_words.names_of(facets)),
        "municipalities": counted_municipalities(municipalities, facets["municipality"]),
        "kept": [pair for pair in query.filters if pair[0] not in _IN_FORM],
        "days": (day_of(query.value("opened_from")), day_of(query.value("opened_to"), is_end=True)),
        "orders": [one for one in _ORDERS if not query.is_search or one[0].endswith("opened_at")],
        "sources": options("source"),
    }  # fmt: skip
