"""The first page: the person's main list or, in an empty system, the first run."""

from fastapi.responses import RedirectResponse, Response

from services.console.registry_forms.registry_state import PATH as FIRST_RUN
from services.console.registry_forms.registry_state import needs_first_run
from services.console.site.page import Page, page_router
from services.console.site.visit import VisitDep

router = page_router()
PAGE = Page(router)


@router.get("/")
async def home(visit: VisitDep) -> Response:
    """Redirect to the first page of the navigation, or to the first run if nothing is registered yet."""
    path = FIRST_RUN if await needs_first_run(visit) else visit.first_path
    return RedirectResponse(path, status_code=303)
