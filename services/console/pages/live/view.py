"""Tickets that open the event stream: a browser's `EventSource` cannot send an `Authorization` header."""

from fastapi.responses import JSONResponse

from services.console.site.page import Page, page_router
from services.console.site.visit import VisitDep

router = page_router()
PAGE = Page(router)


@router.post("/live/ticket")
async def create_ticket(visit: VisitDep) -> JSONResponse:
    """Return a ticket for one stream of the signed-in person."""
    answer = await visit.api.send("POST", "/stream/tickets")
    return JSONResponse({"ticket": answer.data["ticket"]})
