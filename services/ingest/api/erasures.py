"""Routes of erasures: a citizen's personal data is removed on request, and the record shows that it was done."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS, jobs_of
from services.ingest.erasure import requests
from services.ingest.schemas.erasures import ErasureIn, ErasureOut, ErasureRecordIn
from shared.api.pagination import Page, PagingDep
from shared.api.response_headers import with_headers
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import BadRequest, Conflict, InFlight, KeyReused
from shared.service import Once, ReadTransaction, ServiceDep, WriteTransaction

router = APIRouter(tags=["erasures"])

DataEraser = Annotated[Caller, require_right(Right.PERSONAL_DATA_ERASE)]
AuthorKey = Annotated[str, Path(min_length=1, max_length=100, description="`author_key` of a message")]

_POST_PROBLEMS = problems.responses(BadRequest, InFlight, KeyReused) | with_headers(202, "Location")
_AUTHOR_PROBLEMS = _POST_PROBLEMS | problems.responses(BadRequest, Conflict, InFlight, KeyReused)


@router.post(
    "/authors/{author_key}/erasure",
    status_code=202,
    responses=ITEM_PROBLEMS | _AUTHOR_PROBLEMS,
    summary="Erase a citizen's personal data",
)
async def erase_author(
    *,
    session: WriteTransaction,
    caller: DataEraser,
    service: ServiceDep,
    author_key: AuthorKey,
    body: ErasureIn,
    once: Once,
    response: Response,
) -> ErasureOut:
    """Queue the erasure of everything that the author wrote until now, in all services.

    Appeals stay with their status, topic, municipality, times and deadlines, without texts and ids of the person.
    If the author was erased before, what was stored since is erased; if nothing was, the earlier erasure is
    returned.
    Official pages are not citizens: their keys are refused.
    It cannot be undone.
    """

    async def work() -> ErasureOut:
        found = await requests.request_erasure(
            session,
            jobs_of(service),
            author_key,
            ground=body.ground,
            reference=body.reference,
            requested_by=caller.actor,
        )
        return ErasureOut.model_validate(found)

    return _located(await once(ErasureOut, work), response)


@router.post(
    "/erasures",
    status_code=202,
    responses=LIST_PROBLEMS | _POST_PROBLEMS,
    summary="Repeat an erasure from its record",
)
async def repeat_erasure(
    *,
    session: WriteTransaction,
    caller: DataEraser,
    service: ServiceDep,
    body: ErasureRecordIn,
    once: Once,
    response: Response,
) -> ErasureOut:
    """Queue an erasure that is missing because the database was restored from an older backup."""

    async def work() -> ErasureOut:
        found = await requests.repeat_erasure(session, jobs_of(service), body, requested_by=caller.actor)
        return ErasureOut.model_validate(found)

    return _located(await once(ErasureOut, work), response)


@router.get("/erasures", responses=LIST_PROBLEMS, summary="Erasures, newest first")
async def list_erasures(
    session: ReadTransaction,
    caller: DataEraser,
    filters: Annotated[requests.ErasureFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[ErasureOut]:
    """Return the records of erasures, newest first."""
    rows = await requests.list_erasures(session, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (row.created_at, row.id), response)
    return Page(items=[ErasureOut.model_validate(row) for row in kept], next_cursor=cursor)


@router.get("/erasures/{erasure_id}", responses=ITEM_PROBLEMS, summary="One erasure")
async def get_erasure(session: ReadTransaction, caller: DataEraser, erasure_id: UUID) -> ErasureOut:
    """Return an erasure with its status and counts, and why it waits or failed."""
    return ErasureOut.model_validate(await requests.get_erasure(session, erasure_id))


def _located(erasure: ErasureOut, response: Response) -> ErasureOut:
    response.headers["Location"] = f"/api/v1/erasures/{erasure.id}"
    return erasure
