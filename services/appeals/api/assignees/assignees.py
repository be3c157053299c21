"""Route of the people who may get an appeal."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ_PROBLEMS, Worker
from services.appeals.api.presenters.assignees import possible_assignees_out
from services.appeals.assignments import assignee_changes
from services.appeals.schemas.assignees.assignees import PossibleAssigneeOut
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import NotFound
from shared.service import ReadTransaction

router = APIRouter(prefix="/appeals/{appeal_id}", tags=["assignees"])


@router.get(
    "/possible-assignees",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List who may get an appeal",
)
async def list_possible_assignees(
    session: ReadTransaction, caller: Worker, appeal_id: UUID, paging: PagingDep, response: Response
) -> Page[PossibleAssigneeOut]:
    """Return the people to whom the appeal may be assigned now, in no particular order: staff of its organisation,
    or of the centre if it is in `triage`. Absent people are included: a person may assign an appeal to them, a
    rule does not.
    """
    rows, cursor = paging.page(
        await assignee_changes.possible_assignees(session, caller, appeal_id, paging),
        lambda row: (row.id,),
        response,
    )
    return Page(items=await possible_assignees_out(session, rows), next_cursor=cursor)
