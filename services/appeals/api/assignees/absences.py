"""Routes of absences."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Worker
from services.appeals.api.presenters.assignees import absences_out
from services.appeals.assignees import absences
from services.appeals.assignees.absences import AbsenceFilter
from services.appeals.schemas.assignees.assignees import AbsenceIn, AbsenceOut
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import NotFound
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/absences", tags=["assignees"])


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List absences")
async def list_absences(
    session: ReadTransaction,
    caller: Reader,
    filters: Annotated[AbsenceFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[AbsenceOut]:
    """Return the absences of the caller's colleagues, latest start first; the centre sees everybody's."""
    rows, cursor = paging.page(
        await absences.list_absences(session, caller, filters, paging),
        lambda row: (row.starts_on.isoformat(), row.id),
        response,
    )
    return Page(items=await absences_out(session, rows), next_cursor=cursor)


@router.post("", status_code=201, responses=problems.responses(*WRITE_PROBLEMS), summary="Record an absence")
async def record_absence(session: WriteTransaction, caller: Worker, body: AbsenceIn, once: Once) -> AbsenceOut:
    """Record the days on which no rule assigns appeals to a person: to the caller, or, with `assignees:manage`, to
    a colleague. Appeals already assigned to the person stay assigned.
    """

    async def work() -> AbsenceOut:
        made = await absences.create_absence(
            session,
            caller,
            person_id=body.person_id,
            starts_on=body.starts_on,
            ends_on=body.ends_on,
            substitute_id=body.substitute_id,
        )
        (shown,) = await absences_out(session, [made])
        return shown

    return await once(AbsenceOut, work)


@router.delete(
    "/{absence_id}",
    status_code=204,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Delete an absence",
)
async def delete_absence(session: WriteTransaction, caller: Worker, absence_id: UUID) -> None:
    """Delete the caller's own absence, or with `assignees:manage` a colleague's."""
    await absences.delete_absence(session, caller, absence_id)
