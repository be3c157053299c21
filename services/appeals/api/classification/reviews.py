"""Routes of reviews: people's decisions about classifications, and the training set made from them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from services.appeals.api.dependencies import READ_PROBLEMS, Reader, RuleManager
from services.appeals.api.presenters import classifications
from services.appeals.moderation import reviews, training_set
from services.appeals.schemas.classification.reviews import ReviewOut
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.service import ReadTransaction, ServiceDep

router = APIRouter(prefix="/reviews", tags=["reviews"])

CSV = "text/csv"


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List reviews")
async def list_reviews(
    *,
    session: ReadTransaction,
    caller: Reader,
    filters: Annotated[reviews.ReviewFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[ReviewOut]:
    """Return reviews, newest first: who reviewed which message, the prediction, and the decision. Staff of an
    organisation see the reviews of its current appeals, and of messages on its pages that belong to no appeal.
    """
    rows, cursor = paging.page(
        await reviews.list_reviews(session, caller, filters, paging),
        lambda row: (row.created_at, row.message_id),
        response,
    )
    return Page(items=await classifications.reviews_out(session, rows), next_cursor=cursor)


@router.get(
    "/training.csv",
    response_class=StreamingResponse,
    responses=problems.responses(*READ_PROBLEMS)
    | {
        200: {
            "content": {
                CSV: {
                    "schema": {"type": "string"},
                    "example": "Тема,Текст инцидента\r\nЯмы на дорогах,Когда починят дорогу?\r\n",
                }
            },
            "description": "The table",
        }
    },
    summary="Export the training set",
)
async def export_training_set(
    service: ServiceDep,
    caller: RuleManager,
    labelled: Annotated[bool, Query(description="Only messages whose topic a person decided")] = False,
) -> Response:
    """Return the reviewed messages with people's decisions, personal data masked, under the column names of an
    incident export, which `gospablik topics train` reads. Messages that their authors deleted, or that were edited
    after the review, are left out.
    """
    return StreamingResponse(
        training_set.csv_chunks(service.database, labelled=labelled),
        media_type=CSV,
        headers={"Content-Disposition": 'attachment; filename="training.csv"'},
    )
