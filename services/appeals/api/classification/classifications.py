"""Routes of classifications and of the classifier."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, ClassificationReader
from services.appeals.api.presenters import classifications
from services.appeals.classification import classification_queries
from services.appeals.classification.classification_queries import ClassificationFilter
from services.appeals.classification.classifier_pool import ClassifierUnavailableError, classifier_pool
from services.appeals.schemas.classification.classifications import ClassifiedMessageOut, ClassifierOut
from services.appeals.settings import settings
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import Unavailable
from shared.service import ReadTransaction

router = APIRouter()


@router.get(
    "/classifier",
    tags=["messages"],
    responses=problems.responses(*READ_PROBLEMS, Unavailable),
    summary="Get the classifier",
)
async def get_classifier(_caller: ClassificationReader) -> ClassifierOut:
    """Return the classifier that was loaded when the service started, with the model cards of its parts: training
    data, scores on unseen data, thresholds.
    """
    try:
        info = await classifier_pool().info()
    except ClassifierUnavailableError as error:
        raise Unavailable("The classifier is not available; the service's log says why") from error
    return ClassifierOut(
        mode=settings().classifier,
        name=info.name,
        builtin_model=dict(info.builtin_card) if info.builtin_card is not None else None,
        custom_model=dict(info.custom_card) if info.custom_card is not None else None,
        unmapped_labels=info.unmapped_labels or None,
    )


@router.get(
    "/classifications",
    tags=["messages"],
    responses=problems.responses(*READ_PROBLEMS),
    summary="List classified messages",
)
async def list_classified_messages(
    *,
    session: ReadTransaction,
    caller: ClassificationReader,
    filters: Annotated[ClassificationFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[ClassifiedMessageOut]:
    """Return classified messages by the time of their first classification, newest first. `needs_answer=no` with
    `classified_by=automatic` lists messages that were automatically classified as needing no answer, and not
    reviewed.

    Personal data is masked in `text` and `classification.why`.
    """
    rows, cursor = paging.page(
        await classification_queries.find(session, caller, filters, paging),
        lambda row: (row.Classification.created_at, row.Classification.message_id),
        response,
    )
    return Page(items=await classifications.classified_messages_out(session, rows), next_cursor=cursor)
