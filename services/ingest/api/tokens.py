"""Routes of the networks' credentials: written, never shown."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.ingest import tokens
from services.ingest.api.common import READING
from services.ingest.schemas import TokenIn, TokenList, TokenOut
from shared import problems
from shared.access import Caller, Right, allowed
from shared.problems import BadRequest, Forbidden, Invalid, Unauthenticated
from shared.service import Reading, Writing

router = APIRouter()

SourceManager = Annotated[Caller, allowed(Right.SOURCES_MANAGE)]


@router.get("/sources/tokens", tags=["sources"], responses=READING, summary="States of the credentials")
async def list_tokens(session: Reading, caller: SourceManager, page_id: UUID | None = None) -> TokenList:
    """Which credentials there are and whether the networks accept them; the secrets are never shown."""
    return TokenList(items=[TokenOut.model_validate(row) for row in await tokens.listed(session, page_id)])


@router.post(
    "/sources/tokens",
    tags=["sources"],
    status_code=201,
    responses={
        200: {"model": TokenOut, "description": "Known already; it counts as healthy again"},
        **problems.responses(BadRequest, Unauthenticated, Forbidden, Invalid),
    },
    summary="Add a credential",
)
async def add_token(session: Writing, caller: SourceManager, given: TokenIn, response: Response) -> TokenOut:
    """Write-only: it is encrypted, used within seconds, and never shown again."""
    row, new = await tokens.add(session, given)
    if not new:
        response.status_code = 200
    return TokenOut.model_validate(row)
