"""The page of an appeal: its thread, deadlines, timeline and actions."""

from typing import Annotated
from uuid import UUID

from fastapi import Form
from fastapi.responses import HTMLResponse, Response

from services.console.pages.appeal import (
    appeal_correction,
    appeal_deadlines,
    appeal_decisions,
    appeal_moves,
    appeal_notes,
)
from services.console.pages.appeal.appeal_page import show
from services.console.site.downloads import photo
from services.console.site.page import Page, page_router
from services.console.site.visit import VisitDep

router = page_router()
for part in (appeal_moves, appeal_deadlines, appeal_notes, appeal_decisions, appeal_correction):
    router.include_router(part.router)
PAGE = Page(router)


@router.get("/appeals/{appeal_id}")
async def show_appeal(visit: VisitDep, appeal_id: UUID) -> HTMLResponse:
    """Show the appeal."""
    return await show(visit, str(appeal_id))


@router.post("/appeals/{appeal_id}/read")
async def mark_read(visit: VisitDep, appeal_id: UUID, until: Annotated[str, Form(max_length=60)]) -> Response:
    """Mark the shown messages of the appeal as read; a script calls this seconds after the page opens."""
    await visit.api.send("PUT", f"/appeals/{appeal_id}/read", {"until": until})
    if visit.is_swap:
        return visit.fragment("appeal/was_read.html")
    return visit.redirect(f"/appeals/{appeal_id}", note="Отмечено как прочитанное")


@router.post("/appeals/{appeal_id}/presence")
async def renew_presence(visit: VisitDep, appeal_id: UUID) -> HTMLResponse:
    """Record that the person has the page open, and return who else has."""
    answer = await visit.api.send("PUT", f"/appeals/{appeal_id}/presence")
    return visit.fragment("appeal/presence.html", present=answer.data["others"])


@router.get("/appeals/{appeal_id}/photos/{attachment_id}")
async def show_photo(visit: VisitDep, appeal_id: UUID, attachment_id: UUID) -> Response:
    """Return a photo of a reply from the API, which checks that the person may read the appeal."""
    return await photo(visit, f"/attachments/{attachment_id}")
