"""Routes of bulk operations: change many appeals, follow the progress, undo the changes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Worker
from services.appeals.api.presenters.bulk import bulk_operation_out, bulk_operations_out, bulk_rows_out
from services.appeals.bulk import operations
from services.appeals.bulk.operations import BulkRowFilter
from services.appeals.schemas.appeals.bulk import BulkOperationIn, BulkOperationOut, BulkRowOut
from shared.api.pagination import Page, PagingDep
from shared.api.response_headers import with_headers
from shared.http import problems
from shared.http.problems import Duplicate, ListChanged, NotFound, TooManyRequests
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(prefix="/appeals/bulk", tags=["appeals"])


@router.post(
    "",
    status_code=202,
    responses=problems.responses(*WRITE_PROBLEMS, ListChanged, TooManyRequests) | with_headers(202, "Location"),
    summary="Change many appeals",
)
async def change_appeals_in_bulk(
    session: WriteTransaction, caller: Worker, body: BulkOperationIn, once: Once, response: Response
) -> BulkOperationOut:
    """Assign, transfer, close or decide about selected appeals, or all that match a filter, 5,000 at most.

    With `filter`, repeat the `list_version` that `GET /appeals/counts?with_list_version=true` returned when the
    person saw the list. Appeals opened since are left out. If the rest of the list is not the same as then,
    nothing is changed, and the response is a 412 (`list-changed`) with the new `total`. `close` and `triage`
    refuse an appeal that has received a message since.

    The request fixes the list of appeals; a job changes them one by one, as the route for a single appeal would,
    with the rights that you have for each at that moment. `GET /appeals/bulk/{id}` shows the progress, and `GET
    /appeals/bulk/{id}/rows` the outcome of each appeal: `done`, `refused` with the problem, or `unchanged` if the
    appeal already was in the requested state.

    A caller may have two unfinished operations at a time, undos included: further requests get 429.

    `triage` needs `appeals:triage`. It decides about the appeal's last unclear message, or about its first message
    if none is unclear.
    """

    async def work() -> BulkOperationOut:
        operation = await operations.submit(session, caller, body.selection(), body.change())
        return await bulk_operation_out(session, operation)

    accepted = await once(BulkOperationOut, work)
    response.headers["Location"] = f"/api/v1/appeals/bulk/{accepted.id}"
    return accepted


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List bulk operations")
async def list_bulk_operations(
    session: ReadTransaction, caller: Worker, paging: PagingDep, response: Response
) -> Page[BulkOperationOut]:
    """Return bulk operations, newest first: your own, with `assignees:manage` those of your organisation, or all
    if you belong to the centre.
    """
    rows, cursor = paging.page(
        await operations.list_operations(session, caller, paging), lambda row: (row.created_at, row.id), response
    )
    return Page(items=await bulk_operations_out(session, rows), next_cursor=cursor)


@router.get(
    "/{operation_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get a bulk operation"
)
async def get_bulk_operation(session: ReadTransaction, caller: Worker, operation_id: UUID) -> BulkOperationOut:
    """Return the progress of the operation, and how many appeals have each outcome."""
    return await bulk_operation_out(session, await operations.get_visible(session, caller, operation_id))


@router.get(
    "/{operation_id}/rows",
    responses=problems.responses(*READ_PROBLEMS, NotFound),
    summary="List the appeals of a bulk operation",
)
async def list_bulk_operation_rows(
    *,
    session: ReadTransaction,
    caller: Worker,
    operation_id: UUID,
    filters: Annotated[BulkRowFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[BulkRowOut]:
    """Return the appeals of the operation with their outcomes, last opened first."""
    operation = await operations.get_visible(session, caller, operation_id)
    rows, cursor = paging.page(
        await operations.list_rows(session, operation, filters, paging), lambda row: (row.appeal_id,), response
    )
    return Page(items=await bulk_rows_out(session, caller, rows), next_cursor=cursor)


@router.post(
    "/{operation_id}/undo",
    status_code=202,
    responses=problems.responses(*WRITE_PROBLEMS, NotFound, Duplicate, TooManyRequests)
    | with_headers(202, "Location"),
    summary="Undo a bulk operation",
)
async def undo_bulk_operation(
    session: WriteTransaction, caller: Worker, operation_id: UUID, once: Once, response: Response
) -> BulkOperationOut:
    """Restore the former assignee, organisation and status of the appeals that the operation changed and nobody
    has changed since.

    Appeals changed since are `refused` with `precondition-failed`. Completed `assign`, `transfer` and `close`
    operations can be undone once; a `triage` operation cannot (409). A second request is a 409 (`duplicate`)
    naming the first in `operation_id`.
    """

    async def work() -> BulkOperationOut:
        operation = await operations.submit_undo(session, caller, operation_id)
        return await bulk_operation_out(session, operation)

    accepted = await once(BulkOperationOut, work)
    response.headers["Location"] = f"/api/v1/appeals/bulk/{accepted.id}"
    return accepted
