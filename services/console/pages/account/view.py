"""The person's own page: who they are, and where they are signed in."""

from fastapi.responses import HTMLResponse

from services.console.site.page import Page, page_router
from services.console.site.visit import VisitDep

router = page_router()
PAGE = Page(router)


@router.get("/account")
async def show_account(visit: VisitDep) -> HTMLResponse:
    """Show the person."""
    return visit.render("account/account.html")
