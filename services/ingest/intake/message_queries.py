"""Queries of stored messages for the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from services.ingest.networks.sanitize import decode_exact_json
from services.ingest.schemas.messages import MessageDetail, MessageOut, MessageVersionOut
from shared import security_log
from shared.api.pagination import Paging, inline_literal
from shared.auth.callers import Caller
from shared.http.problems import NotFound
from shared.tables.ingest import Message, MessageVersion

COLUMNS = [getattr(Message, name) for name in MessageOut.model_fields]


def to_schema(row: Message) -> MessageOut:
    """Return the row as an API object."""
    return MessageOut.model_validate(_values(row))


def _values(row: Message) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in MessageOut.model_fields}
    return {**values, "attachments": decode_exact_json(row.attachments)}


def list_conditions(
    network: str | None = None,
    kind: str | None = None,
    history: bool | None = None,
    from_community: bool | None = None,
    deleted_by: str | None = None,
    **exact: UUID | str | None,
) -> list[ColumnElement[bool]]:
    """Return the conditions that filter a list by these column values; None means no filter."""
    few = (
        (Message.network, network),
        (Message.kind, kind),
        (Message.history, history),
        (Message.from_community, from_community),
        (Message.deleted_by, deleted_by),
    )
    return [
        *(column == inline_literal(value) for column, value in few if value is not None),
        *(getattr(Message, name) == value for name, value in exact.items() if value is not None),
    ]


async def list_messages(
    session: AsyncSession, caller: Caller, paging: Paging, conditions: Sequence[ColumnElement[bool]]
) -> list[Message]:
    """Return messages, last received first: one more than the page size, to tell whether another page follows."""
    query = (
        select(Message)
        .options(load_only(*COLUMNS, raiseload=True))
        .where(caller.scope(Message.organisation_id), *conditions)
        .order_by(Message.received_at.desc(), Message.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([Message.received_at, Message.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))


async def get_message(session: AsyncSession, caller: Caller, message_id: UUID) -> MessageDetail:
    """Return a message the caller may see, with its earlier texts. Raises `NotFound`."""
    row = await session.scalar(
        select(Message)
        .options(load_only(*COLUMNS, raiseload=True))
        .where(Message.id == message_id, caller.scope(Message.organisation_id))
    )
    if row is None:
        raise NotFound("Message not found")
    security_log.log_personal_data_read(caller.actor, "message", [message_id])
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
