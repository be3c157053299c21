"""The first page: the list that the person works with."""

from fastapi.responses import RedirectResponse, Response

from services.console.site.page import Page, page_router
from services.console.site.visit import VisitDep

router = page_router()
PAGE = Page(router)


@router.get("/")
async def home(visit: VisitDep) -> Response:
    """Lead to the first page of the navigation."""
    return RedirectResponse(visit.first_path, status_code=303)
