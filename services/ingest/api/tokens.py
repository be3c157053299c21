"""Routes of network tokens. The secrets are write-only."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS, jobs_of
from services.ingest.publishing import publication_requests
from services.ingest.schemas.tokens import (
    NetworkTokenDetail,
    NetworkTokenIn,
    NetworkTokenList,
    NetworkTokenRecovery,
)
from services.ingest.tokens import token_admin
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.http import problems
from shared.http.problems import BadRequest, Conflict, Forbidden, Invalid, Unauthenticated
from shared.service import ReadTransaction, ServiceDep, WriteTransaction

router = APIRouter()

SourceInspector = Annotated[Caller, require_right(Right.SOURCES_INSPECT)]
SourceManager = Annotated[Caller, require_right(Right.SOURCES_MANAGE)]


@router.get(
    "/sources/tokens", tags=["sources"], responses=LIST_PROBLEMS, summary="Network tokens and their states"
)
async def list_network_tokens(
    session: ReadTransaction, caller: SourceInspector, page_id: UUID | None = None
) -> NetworkTokenList:
    """Return the network tokens and their states. The secrets are never returned."""
    return NetworkTokenList(
        items=await token_admin.to_schemas(session, await token_admin.list_tokens(session, page_id))
    )


@router.post(
    "/sources/tokens",
    tags=["sources"],
    status_code=201,
    responses={
        200: {"model": NetworkTokenDetail, "description": "Already known; it counts as healthy again"},
        **problems.responses(BadRequest, Unauthenticated, Forbidden, Invalid),
    },
    summary="Add a network token",
)
async def add_network_token(
    session: WriteTransaction,
    caller: SourceManager,
    service: ServiceDep,
    given: NetworkTokenIn,
    response: Response,
) -> NetworkTokenDetail:
    """Store a token, encrypted; it is used within seconds. Publications waiting for a token are queued again."""
    row, new = await token_admin.add_token(session, given, caller.actor)
    await publication_requests.requeue_waiting(session, jobs_of(service), row.network, row.page_id)
    if not new:
        response.status_code = 200
    return (await token_admin.to_schemas(session, [row]))[0]


@router.post(
    "/sources/tokens/{token_id}/recover",
    tags=["sources"],
    responses=ITEM_PROBLEMS | problems.responses(BadRequest, Conflict),
    summary="Recover a network token",
)
async def recover_network_token(
    session: WriteTransaction,
    caller: SourceManager,
    service: ServiceDep,
    token_id: UUID,
    given: NetworkTokenRecovery,
) -> NetworkTokenDetail:
    """Mark a token as usable after its captcha was solved or it was repaired. A healthy token gets 409."""
    row = await token_admin.recover_token(session, token_id, given, caller.actor)
    await publication_requests.requeue_waiting(session, jobs_of(service), row.network, row.page_id)
    return (await token_admin.to_schemas(session, [row]))[0]


@router.delete(
    "/sources/tokens/{token_id}",
    tags=["sources"],
    status_code=204,
    responses=ITEM_PROBLEMS,
    summary="Delete a network token",
)
async def delete_network_token(session: WriteTransaction, caller: SourceManager, token_id: UUID) -> None:
    """Delete the token. Processes stop using it within seconds."""
    await token_admin.delete_token(session, token_id, caller.actor)
