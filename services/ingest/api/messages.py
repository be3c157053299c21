"""Routes of stored messages."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.ingest.api.common import ITEM_PROBLEMS, LIST_PROBLEMS
from services.ingest.intake import message_queries
from services.ingest.schemas.messages import MessageDetail, MessageOut
from shared.api.pagination import Page, PagingDep
from shared.api.preconditions import set_etag
from shared.auth.callers import Caller, require_right
from shared.auth.rights import Right
from shared.personal_data_reads import note_read
from shared.service import ReadTransaction

router = APIRouter()

MessageReader = Annotated[Caller, require_right(Right.MESSAGES_READ)]


@router.get("/messages", tags=["messages"], responses=LIST_PROBLEMS, summary="Messages, last received first")
async def list_messages(
    session: ReadTransaction,
    caller: MessageReader,
    filters: Annotated[message_queries.MessageFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[MessageOut]:
    """Return messages of citizens and of the community itself: comments, wall posts and direct messages.

    A conversation in which colleagues get notices is shown to the centre only.
    """
    rows = await message_queries.list_messages(session, caller, filters, paging)
    kept, cursor = paging.page(rows, lambda row: (row.received_at, row.id), response)
    note_read(session, caller, "message", [row.id for row in kept])
    return Page(items=[message_queries.to_schema(row) for row in kept], next_cursor=cursor)


@router.get(
    "/messages/{message_id}",
    tags=["messages"],
    responses=ITEM_PROBLEMS,
    summary="One message with its earlier texts",
)
async def get_message(
    session: ReadTransaction, caller: MessageReader, message_id: UUID, response: Response
) -> MessageDetail:
    """Return one message with its text, its thread and the texts before each edit."""
    message = await message_queries.get_message(session, caller, message_id)
    set_etag(response, message.version)
    return message
