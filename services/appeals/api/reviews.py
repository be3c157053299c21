"""Routes of reviews: what people said of judgements, and the training set that comes of it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals import reviewed, reviews, schemas
from services.appeals.api.appeals import READ, Reader
from shared import problems
from shared.pagination import Page, PagingDep
from shared.service import Reading

router = APIRouter(prefix="/reviews", tags=["reviews"])


@router.get("", responses=problems.responses(*READ), summary="What people said of judgements")
async def list_reviews(
    *,
    session: Reading,
    caller: Reader,
    paging: PagingDep,
    response: Response,
    corrected: Annotated[bool | None, Query(description="Whether people disagreed with anything")] = None,
    group_id: Annotated[
        UUID | None, Query(description="The group of topics that people decided on, else judged")
    ] = None,
) -> Page[schemas.ReviewOut]:
    """Who reviewed which message, what had been judged of it, and what they decided; newest first.

    Staff of an organisation see the reviews of its own cases.
    """
    rows, cursor = paging.page(
        await reviews.find(session, caller, paging, corrected=corrected, group_id=group_id),
        lambda row: (row.created_at, row.message_id),
        response,
    )
    return Page(items=await reviewed.reviews(session, rows), next_cursor=cursor)
