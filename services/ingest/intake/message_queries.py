"""Queries of stored messages for the API."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from services.ingest.intake.notice_messages import visible_messages
from services.ingest.networks.sanitize import decode_exact_json
from services.ingest.schemas.messages import MessageDetail, MessageOut, MessageVersionOut
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.values import DeletedBy, MessageKind
from shared.http.problems import NotFound
from shared.networks import NetworkName
from shared.personal_data_reads import note_read
from shared.tables.ingest import Message, MessageVersion

COLUMNS = [getattr(Message, name) for name in MessageOut.model_fields]


class MessageFilter(ListFilter):
    """Filter of a list of messages."""

    network: NetworkName | None = None
    kind: MessageKind | None = None
    page_id: UUID | None = None
    organisation_id: UUID | None = None
    thread_key: str | None = Field(default=None, max_length=200)
    history: bool | None = Field(default=None, description="Whether the message opens no appeal, as history")
    from_community: bool | None = None
    deleted_by: DeletedBy | None = None
    received_from: AwareDatetime | None = Field(default=None, description="RFC 3339 with offset, included")
    received_to: AwareDatetime | None = Field(default=None, description="RFC 3339 with offset, not included")


def to_schema(row: Message) -> MessageOut:
    """Return the row as an API object."""
    return MessageOut.model_validate(_values(row))


def _values(row: Message) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in MessageOut.model_fields}
    return {**values, "attachments": decode_exact_json(row.attachments)}


def _conditions(filters: MessageFilter) -> list[ColumnElement[bool]]:
    few = ("network", "kind", "history", "from_community", "deleted_by")
    exact = ("page_id", "organisation_id", "thread_key")
    given = {name: value for name in few + exact if (value := getattr(filters, name)) is not None}
    conditions: list[ColumnElement[bool]] = [
        getattr(Message, name) == (inline_literal(value) if name in few else value)
        for name, value in given.items()
    ]
    if filters.received_from is not None:
        conditions.append(Message.received_at >= filters.received_from)
    if filters.received_to is not None:
        conditions.append(Message.received_at < filters.received_to)
    return conditions


async def list_messages(
    session: AsyncSession, caller: Caller, filters: MessageFilter, paging: Paging
) -> list[Message]:
    """Return messages, last received first (page size plus one, to see whether another page follows)."""
    query = (
        select(Message)
        .options(load_only(*COLUMNS, raiseload=True))
        .where(*visible_messages(caller), *_conditions(filters))
        .order_by(Message.received_at.desc(), Message.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([Message.received_at, Message.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))


async def get_message(session: AsyncSession, caller: Caller, message_id: UUID) -> MessageDetail:
    """Return a message that the caller may see, with its earlier texts. Raises `NotFound` for any other id."""
    row = await session.scalar(
        select(Message)
        .options(load_only(*COLUMNS, raiseload=True))
        .where(Message.id == message_id, *visible_messages(caller))
    )
    if row is None:
        raise NotFound("No such message")
    note_read(session, caller, "message", [message_id])
    versions = await session.execute(
        select(
            MessageVersion.version,
            MessageVersion.text,
            MessageVersion.attachments,
            MessageVersion.replaced_at,
        )
        .where(MessageVersion.message_id == message_id)
        .order_by(MessageVersion.version)
    )
    return MessageDetail(
        **_values(row),
        versions=[
            MessageVersionOut(
                version=one.version,
                text=one.text,
                attachments=decode_exact_json(one.attachments),
                replaced_at=one.replaced_at,
            )
            for one in versions
        ],
    )
