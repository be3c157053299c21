"""Routes of reviews: what people said of judgements, and the training set that comes of it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from services.appeals.api.dependencies import READ_PROBLEMS, Reader, RuleManager
from services.appeals.api.presenters import classifications
from services.appeals.moderation import reviews, training_set
from services.appeals.schemas.reviews import ReviewOut
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.service import Reading, ServiceDep

router = APIRouter(prefix="/reviews", tags=["reviews"])

CSV = "text/csv"


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="What people said of judgements")
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
) -> Page[ReviewOut]:
    """Who reviewed which message, what had been judged of it, and what they decided; newest first.

    Staff of an organisation see the reviews of the cases that it has now, and of messages on its pages that
    nobody has a case of.
    """
    rows, cursor = paging.page(
        await reviews.list_reviews(session, caller, paging, corrected=corrected, group_id=group_id),
        lambda row: (row.created_at, row.message_id),
        response,
    )
    return Page(items=await classifications.reviews_out(session, rows), next_cursor=cursor)


@router.get(
    "/training.csv",
    response_class=StreamingResponse,
    responses=problems.responses(*READ_PROBLEMS)
    | {200: {"content": {CSV: {"schema": {"type": "string"}}}, "description": "The table"}},
    summary="The next training set",
)
async def training_table(
    service: ServiceDep,
    caller: RuleManager,
    labelled: Annotated[bool, Query(description="Only messages whose topic people decided")] = False,
) -> Response:
    """Reviewed messages with what people decided of them, personal data masked, under the field names of an
    incident's export, so that `gospablik topics train` can learn from it. Messages that their authors deleted, or
    whose words changed after the review, are left out.
    """
    return StreamingResponse(
        training_set.csv_chunks(service.database, labelled=labelled),
        media_type=CSV,
        headers={"Content-Disposition": 'attachment; filename="training.csv"'},
    )
