"""Bulk changes of appeals: the list of operations, each one's progress and result, and undo."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Form, Query
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.bulk import bulk_form
from services.console.pages.bulk.bulk_request import TWO_UNFINISHED
from services.console.pages.bulk.bulk_words import OPERATIONS, OUTCOMES, refused_words
from services.console.site.page import NavigationLink, Page, Section, page_router
from services.console.site.visit import Visit, VisitDep
from services.console.words.refusals import explained

router = page_router()
router.include_router(bulk_form.router)
PAGE = Page(
    router,
    (NavigationLink(Section.WORK, 60, "Массовые операции", "/bulk", rights=frozenset({"appeals:work"})),),
)
_PAGE_SIZE = 50
_UNDONE = "Эту операцию уже отменили или отменяют, или её обращения вам больше не видны."
Cursor = Annotated[str | None, Query(max_length=2_000)]


@router.get("/bulk")
async def list_operations(visit: VisitDep, cursor: Cursor = None) -> HTMLResponse:
    """List the operations that the person may see, newest first."""
    found = await visit.api.get("/appeals/bulk", {"limit": _PAGE_SIZE, "cursor": cursor})
    after = f"/bulk?cursor={found['next_cursor']}" if found["next_cursor"] else None
    first = "/bulk" if cursor else None
    return visit.render(
        "bulk/operations.html", operations=found["items"], titles=OPERATIONS, first=first, after=after
    )


@router.get("/bulk/{bulk_operation_id}")
async def show_operation(
    visit: VisitDep, bulk_operation_id: UUID, outcome: str = "", cursor: Cursor = None
) -> HTMLResponse:
    """Show the operation's progress and its appeals with one outcome."""
    return visit.render("bulk/operation.html", **await _operation(visit, bulk_operation_id, outcome, cursor))


@router.get("/bulk/{bulk_operation_id}/progress")
async def show_progress(visit: VisitDep, bulk_operation_id: UUID, outcome: str = "") -> HTMLResponse:
    """Return the part of the page that is refreshed while the operation runs."""
    values = await _operation(visit, bulk_operation_id, outcome, None)
    if not visit.is_swap:
        return visit.render("bulk/operation.html", **values)
    return visit.fragment("bulk/progress.html", **values)


async def _operation(visit: Visit, operation_id: UUID, outcome: str, cursor: str | None) -> dict[str, Any]:
    outcome = outcome if outcome in OUTCOMES else ""
    operation = await visit.api.get(f"/appeals/bulk/{operation_id}")
    shown = outcome or ("refused" if operation["counts"]["refused"] else "done")
    rows = await visit.api.get(
        f"/appeals/bulk/{operation_id}/rows", {"outcome": shown, "limit": _PAGE_SIZE, "cursor": cursor}
    )
    path = f"/bulk/{operation_id}?outcome={shown}"
    return {
        "operation": operation, "title": OPERATIONS[operation["action"]], "outcomes": OUTCOMES, "shown": shown,
        "rows": [(row, refused_words(row["problem"])) for row in rows["items"]],
        "first": path if cursor else None,
        "after": f"{path}&cursor={rows['next_cursor']}" if rows["next_cursor"] else None,
    }  # fmt: skip


@router.post("/bulk/{bulk_operation_id}/undo")
async def undo_operation(
    visit: VisitDep, bulk_operation_id: UUID, key: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Undo the operation, and redirect to the progress of the undo."""
    try:
        answer = await visit.api.send("POST", f"/appeals/bulk/{bulk_operation_id}/undo", key=key)
    except ApiProblem as problem:
        if problem.status not in {409, 422, 429}:
            raise
        note = {409: _UNDONE, 429: TWO_UNFINISHED}.get(problem.status) or explained(problem)
        return visit.redirect(f"/bulk/{bulk_operation_id}", note=note, kind="failed")
    return visit.redirect(f"/bulk/{answer.data['id']}")
