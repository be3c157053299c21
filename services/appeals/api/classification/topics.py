"""Routes of the topic taxonomy."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.appeals.api.dependencies import READ_PROBLEMS, RegistryReader
from services.appeals.api.presenters.topics import topic_details, topic_out
from services.appeals.classification import topics
from services.appeals.schemas.classification.topics import TopicDetails, TopicOut
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import NotFound
from shared.service import ReadTransaction

router = APIRouter(prefix="/topics", tags=["topics"])


@router.get("", responses=problems.responses(*READ_PROBLEMS), summary="List topic groups and topics")
async def list_topics(
    *,
    session: ReadTransaction,
    caller: RegistryReader,
    filters: Annotated[topics.TopicFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[TopicOut]:
    """Return topic groups or topics in the taxonomy's order; by default the 26 groups."""
    rows, cursor = paging.page(
        await topics.find(session, filters, paging),
        lambda row: (row[0].position, row[0].id),
        response,
    )
    return Page(items=[topic_out(row[0], row[1]) for row in rows], next_cursor=cursor)


@router.get(
    "/{topic_id}", responses=problems.responses(*READ_PROBLEMS, NotFound), summary="Get a topic group or topic"
)
async def get_topic(session: ReadTransaction, caller: RegistryReader, topic_id: UUID) -> TopicDetails:
    """Return what the topic includes, which similar topics it excludes, its other names, and the taxonomy's
    version.
    """
    topic, group = await topics.get_topic(session, topic_id)
    return topic_details(topic, group)
