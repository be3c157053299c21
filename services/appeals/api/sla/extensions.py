"""Routes of requests to extend a deadline: request, list, approve, refuse, withdraw."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, ExtensionApprover, Reader, Worker
from services.appeals.api.presenters.extensions import open_requests_out, request_out
from services.appeals.extensions import extension_requests
from services.appeals.lifecycle import appeal_queries
from services.appeals.schemas.sla import extensions
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import RequiredVersion, set_etag
from shared.http import problems
from shared.http.problems import NotFound, PreconditionFailed, PreconditionRequired
from shared.service import Once, ReadTransaction, WriteTransaction

router = APIRouter(tags=["sla"])

_CHANGE_PROBLEMS = (*WRITE_PROBLEMS, NotFound, PreconditionFailed, PreconditionRequired)


@router.get(
    "/extension-requests",
    responses=problems.responses(*READ_PROBLEMS),
    summary="List open requests to extend a deadline",
)
async def list_extension_requests(
    session: ReadTransaction, caller: Reader, paging: PagingDep, response: Response
) -> Page[extensions.OpenExtensionRequest]:
    """Return the requests that the centre has to decide, oldest first; staff of an organisation see their own.

    Personal data is masked in `ground`; the deadlines of the appeal show it in full, with decided requests too.
    """
    rows, cursor = paging.page(
        await extension_requests.list_open(session, caller, paging),
        lambda row: (row[0].created_at, row[0].id),
        response,
    )
    return Page(items=await open_requests_out(session, rows), next_cursor=cursor)


@router.post(
    "/appeals/{appeal_id}/extension-requests",
    status_code=201,
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Request to extend a deadline",
)
async def request_extension(
    *,
    session: WriteTransaction,
    caller: Worker,
    appeal_id: UUID,
    body: extensions.ExtensionRequestIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> extensions.ExtensionRequestOut:
    """Ask the centre for more time, before the deadline. The deadline stays until a moderator approves.

    `If-Match` is the appeal's version; the ETag of the response is the request's version. The SLA policy of the
    clock says how often and by how much: by default only the final answer, twice, by up to 40 hours each time,
    working or calendar ones as the clock counts; more hours are a 422. 409 if the clock is neither running nor
    paused, the appeal has no organisation, its deadline has passed, the policy allows no more extensions, or
    another request is open.

    A request ends by itself when the appeal is answered, closed, merged, transferred or returned, when its
    question is withdrawn, and when the deadline passes before a decision.
    """

    async def work() -> extensions.ExtensionRequestOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        await appeal_queries.check_version(session, appeal, version)
        made = await extension_requests.request_extension(
            session, caller, appeal, kind=body.clock, hours=body.hours, ground=body.ground
        )
        return await request_out(session, made)

    made = await once(extensions.ExtensionRequestOut, work)
    set_etag(response, made.version)
    return made


@router.post(
    "/appeals/{appeal_id}/extension-requests/{request_id}/approve",
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Approve a request to extend a deadline",
)
async def approve_extension(
    *,
    session: WriteTransaction,
    caller: ExtensionApprover,
    appeal_id: UUID,
    request_id: UUID,
    body: extensions.ExtensionApprovalIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> extensions.ExtensionRequestOut:
    """Extend the deadline as requested. `If-Match` is the request's version. 403 for the person who made the
    request. 409 if the request is no longer open, the deadline has passed, or the policy that applies now does not
    allow the extension.
    """

    async def work() -> extensions.ExtensionRequestOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        approved = await extension_requests.approve(
            session, caller, appeal, request_id, version=version, remarks=body.remarks
        )
        return await request_out(session, approved)

    made = await once(extensions.ExtensionRequestOut, work)
    set_etag(response, made.version)
    return made


@router.post(
    "/appeals/{appeal_id}/extension-requests/{request_id}/refuse",
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Refuse a request to extend a deadline",
)
async def refuse_extension(
    *,
    session: WriteTransaction,
    caller: ExtensionApprover,
    appeal_id: UUID,
    request_id: UUID,
    body: extensions.ExtensionRefusalIn,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> extensions.ExtensionRequestOut:
    """Refuse the request with remarks; the deadline stays. 403 for the person who made the request."""

    async def work() -> extensions.ExtensionRequestOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        refused = await extension_requests.refuse(
            session, caller, appeal, request_id, version=version, remarks=body.remarks
        )
        return await request_out(session, refused)

    made = await once(extensions.ExtensionRequestOut, work)
    set_etag(response, made.version)
    return made


@router.post(
    "/appeals/{appeal_id}/extension-requests/{request_id}/withdraw",
    responses=problems.responses(*_CHANGE_PROBLEMS),
    summary="Withdraw a request to extend a deadline",
)
async def withdraw_extension_request(
    *,
    session: WriteTransaction,
    caller: Worker,
    appeal_id: UUID,
    request_id: UUID,
    version: RequiredVersion,
    once: Once,
    response: Response,
) -> extensions.ExtensionRequestOut:
    """Withdraw the request before the centre decides; the deadline stays, and another request may be made.

    `If-Match` is the request's version. 403 for everybody but the person who made it and the managers of the
    organisation; 409 if the request is no longer open.
    """

    async def work() -> extensions.ExtensionRequestOut:
        appeal = await appeal_queries.lock(session, caller, appeal_id)
        withdrawn = await extension_requests.withdraw(session, caller, appeal, request_id, version=version)
        return await request_out(session, withdrawn)

    made = await once(extensions.ExtensionRequestOut, work)
    set_etag(response, made.version)
    return made
